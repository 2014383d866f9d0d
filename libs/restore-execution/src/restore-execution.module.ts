import { Module, type DynamicModule } from '@nestjs/common';

/** The HTTP side of this context: no routes yet, commands come and are answered as messages. */
export function restoreExecutionModule(): DynamicModule {
  return { module: RestoreExecutionModule };
}

@Module({})
class RestoreExecutionModule {}
