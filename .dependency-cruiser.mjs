// Dependencies point one way (docs/explanation/architecture.md):
// apps → contexts → (kms, kmip, snapshot-store, mongod) → platform → contracts.
const CONTEXTS = 'fleet|kms-validation|snapshot-catalog|restore-execution|notification|agent';
const PROVIDERS = 'kms|kmip|snapshot-store|mongod';
/** From the bytes up. */
const KMIP_LAYERS = ['ttlv', 'vocabulary', 'messages', 'client'];
const TESTS = String.raw`\.(spec|contract)\.ts$`;

export default {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'These modules import each other in a circle. Move what both need into a third module that imports neither.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'contracts-stand-alone',
      comment:
        'libs/contracts is the language all services share: it may not import any other library of ours. Move logic into the library that owns it.',
      severity: 'error',
      from: { path: '^libs/contracts/' },
      to: { path: '^(libs|apps)/', pathNot: '^libs/contracts/' },
    },
    {
      name: 'platform-knows-no-domain',
      comment:
        'libs/platform/* serves every service and knows no domain: it may import libs/contracts and libs/platform only. Pass in what it needs.',
      severity: 'error',
      from: { path: '^libs/platform/', pathNot: TESTS },
      to: { path: '^(libs|apps)/', pathNot: '^libs/(contracts|platform)/' },
    },
    {
      name: 'providers-know-no-context',
      comment:
        'kms, snapshot-store and mongod are used by contexts, not the other way round, and not by each other: import only kmip, platform and contracts.',
      severity: 'error',
      from: { path: `^libs/(${PROVIDERS})/`, pathNot: TESTS },
      to: { path: '^(libs|apps)/', pathNot: ['^libs/(contracts|platform|kmip)/', '^libs/$1/'] },
    },
    {
      name: 'kmip-is-a-protocol',
      comment: 'libs/kmip is a protocol: it knows neither a KMS nor mongod, and imports none of our libraries but libs/platform.',
      severity: 'error',
      from: { path: '^libs/kmip/', pathNot: TESTS },
      to: { path: '^(libs|apps)/', pathNot: '^libs/(platform|kmip)/' },
    },
    ...KMIP_LAYERS.slice(0, -1).map((layer, index) => ({
      name: `kmip-layers-${layer}`,
      comment: `In libs/kmip, imports go one way: ${[...KMIP_LAYERS].reverse().join(' → ')}.`,
      severity: 'error',
      from: { path: `^libs/kmip/src/${layer}/` },
      to: { path: `^libs/kmip/src/(${KMIP_LAYERS.slice(index + 1).join('|')})/` },
    })),
    {
      name: 'contexts-are-strangers',
      comment: 'A context may not import another context. Publish an event in libs/contracts and keep a projection of it.',
      severity: 'error',
      from: { path: `^libs/(${CONTEXTS})/` },
      to: { path: `^libs/(${CONTEXTS})/`, pathNot: '^libs/$1/' },
    },
    {
      name: 'apps-are-leaves',
      comment: 'An app composes libraries; nothing imports an app, and an app never imports an app. Move the shared part into a library.',
      severity: 'error',
      from: { path: '^(libs|apps)/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^$1/$2/' },
    },
    {
      name: 'testing-is-for-tests',
      comment: 'libs/testing may be imported by specs, contract suites and the development parts of apps/standalone only.',
      severity: 'error',
      from: { path: '^(libs|apps)/', pathNot: [TESTS, '^libs/testing/', '^apps/standalone/'] },
      to: { path: '^libs/testing/' },
    },
    {
      name: 'no-deep-imports',
      comment: "Import another library by its package name ('@atrest/…'), whose index lists what is public.",
      severity: 'error',
      from: { path: '^(?:libs/platform|libs|apps)/([^/]+)/' },
      to: {
        path: '^(libs|apps)/',
        // Contract suites are public too: a package exports its own as './contract'.
        pathNot: [String.raw`^(?:libs/platform|libs|apps)/[^/]+/src/(index|.*\.contract)\.ts$`, '^(?:libs/platform|libs|apps)/$1/'],
      },
    },
    {
      name: 'vendor-sdk-in-one-place',
      comment: 'The AWS SDK is known to libs/kms only (and libs/snapshot-store for S3). Use the port.',
      severity: 'error',
      from: { path: '^(libs|apps)/', pathNot: ['^libs/(kms|snapshot-store)/', TESTS, '^apps/standalone/src/demo/'] },
      to: { path: 'node_modules/@aws-sdk/' },
    },
    {
      name: 'driver-in-one-place',
      comment: 'The mongodb driver is known to libs/mongod only. Add the command you need there.',
      severity: 'error',
      from: { path: '^(libs|apps)/', pathNot: ['^libs/(mongod|testing)/', TESTS, '^apps/standalone/src/demo/'] },
      to: { path: 'node_modules/mongodb/' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    enhancedResolveOptions: {
      conditionNames: ['@atrest/source', 'import', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
