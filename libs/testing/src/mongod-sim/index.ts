export { MongodSimControl, MongodSimControlError } from './control/mongod-sim-control.js';
export type { SimFault, SimFaultKind } from './control/faults.js';
export { type SimExecutables, simExecutables } from './executables.js';
