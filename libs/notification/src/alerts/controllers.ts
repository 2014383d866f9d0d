import type { Type } from '@nestjs/common';
import { EventsController } from '../events/events.controller.js';
import { AlertConfigsController } from './alert-configs.controller.js';
import { AlertsController } from './alerts.controller.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const notificationControllers: readonly Type[] = [AlertsController, AlertConfigsController, EventsController];
