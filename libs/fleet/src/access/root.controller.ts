import { AtlasRoute } from '@atrest/platform-http';
import { Controller } from '@nestjs/common';

/** 40 hexadecimal characters are required; Atrest's builds have no commit at run time, and no client reads it. */
const BUILD = '0'.repeat(40);

/** `GET /api/atlas/v2`: the first call of many clients, to see whether they are logged in. */
@Controller()
export class RootController {
  @AtlasRoute({
    method: 'GET',
    path: '/',
    versions: ['2023-01-01'],
    access: 'authenticated',
    summary: 'Says that the caller is logged in.',
  })
  get(): object {
    // The name is the only one that the Atlas API allows here. `apiKey` is null for callers that came by OAuth.
    return { apiKey: null, appName: 'MongoDB Atlas', build: BUILD, throttling: false, links: [] };
  }
}
