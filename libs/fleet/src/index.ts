export { type FirstOwner, type FleetAccess } from './access/fleet-access.js';
