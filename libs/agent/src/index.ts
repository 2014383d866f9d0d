export { AGENT_VERSION, createAgent, type Agent, type AgentIntervals, type AgentOptions } from './agent.js';
export { loadAgentConfig, type AgentConfig } from './agent-config.js';
export { ChannelError } from './channel-client.js';
export {
  converge,
  type Action,
  type Authority,
  type ConvergeInput,
  type ConvergeSettings,
  type Decision,
  type Presence,
  type Reality,
  type RouterView,
  type SetView,
} from './converge.js';
export { DataPathError } from './data-path.js';
export { type AgentKmsOptions } from './snapshots/task-key.js';
export { folderStore, type AgentSnapshotStore } from './snapshots/store-settings.js';
