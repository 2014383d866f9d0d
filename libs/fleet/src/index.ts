export { type FirstOwner, type FleetAccess } from './access/fleet-access.js';
export { createFleetService, NoOrganisationError, type FleetOptions, type FleetService } from './create-fleet-service.js';
export { backupTaskTransitions } from './backup-tasks/backup-task.js';
export { clusterStateDiagram } from './clusters/cluster-state.js';
export { fleetControllers } from './fleet-controllers.js';
