import { anything, enumeration, list, optional, structure, text } from '../fields.js';

export const queryRequest = structure({ functions: list('QueryFunction', enumeration) });

export const queryResponse = structure({
  operations: list('Operation', enumeration),
  objectTypes: list('ObjectType', enumeration),
  vendor: optional('VendorIdentification', text),
  server: optional('ServerInformation', anything),
  applicationNamespaces: list('ApplicationNamespace', text),
  extensions: list('ExtensionInformation', anything, '1.1'),
  attestationTypes: list('AttestationType', enumeration, '1.2'),
  randomNumberGenerators: list('RNGParameters', anything, '1.3'),
  profiles: list('ProfileInformation', anything, '1.3'),
  validations: list('ValidationInformation', anything, '1.3'),
  capabilities: list('CapabilityInformation', anything, '1.3'),
  clientRegistrationMethods: list('ClientRegistrationMethod', enumeration, '1.3'),
});
