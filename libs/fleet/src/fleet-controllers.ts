import type { Type } from '@nestjs/common';
import { accessControllers } from './access/fleet-access.js';
import { AgentChannelController } from './agent-channel/agent-channel.controller.js';
import { ClusterSupportController } from './clusters/cluster-support.controller.js';
import { ClustersController } from './clusters/clusters.controller.js';
import { ContainersController } from './clusters/containers.controller.js';
import { FlexController } from './clusters/flex.controller.js';
import { HostsController } from './hosts/hosts.controller.js';
import { MembersController } from './projects/members.controller.js';
import { OrganisationsController } from './projects/organisations.controller.js';
import { ProjectsController } from './projects/projects.controller.js';

/** Every controller of the service: what it serves, and what the generated API reference describes. */
export const fleetControllers: readonly Type[] = [
  ...accessControllers,
  AgentChannelController,
  ClusterSupportController,
  ClustersController,
  ContainersController,
  FlexController,
  HostsController,
  MembersController,
  OrganisationsController,
  ProjectsController,
];
