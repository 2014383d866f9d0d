/** `restore-execution` reads the settings of every service and no others yet. */
export const restoreExecutionFields = {} as const;
