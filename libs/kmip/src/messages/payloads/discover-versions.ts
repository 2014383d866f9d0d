import { list, structure } from '../fields.js';
import { protocolVersion } from '../structures.js';

/** What the client speaks, best first; none asks for all that the server speaks. */
export const discoverVersionsRequest = structure({ versions: list('ProtocolVersion', protocolVersion) });

/** What both speak, best first. */
export const discoverVersionsResponse = structure({ versions: list('ProtocolVersion', protocolVersion) });
