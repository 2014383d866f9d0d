import { Controller, Headers, Inject } from '@nestjs/common';
import { AtlasRoute, unauthorized, ValidBody } from '@atrest/platform-http';
import { z } from 'zod';
import { KmsEvents, type PushOutcome } from './kms-events.js';

/** Anything: the sender's format, read only after it has proven itself. */
const AnyBodySchema = z.unknown();
const AnswerSchema = z.object({ validationResponse: z.string().optional() });
type PushAnswer = z.infer<typeof AnswerSchema>;

function answered(outcome: PushOutcome): PushAnswer {
  if (outcome.kind === 'refused') throw unauthorized();
  return outcome.kind === 'handshake' ? { validationResponse: outcome.validationCode } : {};
}

/** Notifications of KMSs. Public: each sender proves itself in its own way. */
@Controller()
export class KmsEventsController {
  constructor(@Inject(KmsEvents) private readonly events: KmsEvents) {}

  @AtlasRoute({
    method: 'POST',
    path: '/kms-events/aws',
    access: 'public',
    summary: 'Takes notifications of AWS KMS from EventBridge by Amazon SNS, signed by it; makes checks due at once.',
    body: AnyBodySchema,
    jsonAsPlainText: true,
    response: AnswerSchema,
  })
  async aws(@ValidBody() body: unknown): Promise<PushAnswer> {
    return answered(await this.events.ofAws(body));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/kms-events/azure',
    access: 'public',
    summary: 'Takes notifications of Azure Key Vault from Event Grid, with its handshake; makes checks due at once.',
    body: AnyBodySchema,
    response: AnswerSchema,
  })
  async azure(
    @ValidBody() body: unknown,
    @Headers('authorization') authorization: string | undefined,
    @Headers('x-atrest-event-key') eventKey: string | undefined,
  ): Promise<PushAnswer> {
    return answered(await this.events.ofAzure(body, { authorization, eventKey }));
  }

  @AtlasRoute({
    method: 'POST',
    path: '/kms-events/gcp',
    access: 'public',
    summary: 'Takes notifications of Google Cloud KMS from Pub/Sub, with a token of the pushing service account; makes checks due at once.',
    body: AnyBodySchema,
    response: AnswerSchema,
  })
  async gcp(@ValidBody() body: unknown, @Headers('authorization') authorization: string | undefined): Promise<PushAnswer> {
    return answered(await this.events.ofGcp(body, { authorization }));
  }
}
