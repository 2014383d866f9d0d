import { variableOf, type ConfigFields } from './compile-config.js';

/** A Markdown table of all settings, from which the reference documentation is generated: what is checked is what is described. */
export function describeConfig(fields: ConfigFields): string {
  const lines = Object.entries(fields).map(([name, field]) => {
    const fallback = field.defaultText !== undefined ? code(field.defaultText) : field.required ? 'required' : 'not set';
    return `| ${code(variableOf(name, field))} | ${cell(field.description)} | ${cell(field.rule)} | ${fallback} |`;
  });
  return ['| variable | meaning | rule | default |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

function cell(content: string): string {
  return content.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function code(content: string): string {
  return content === '' ? 'empty' : `\`${cell(content)}\``;
}
