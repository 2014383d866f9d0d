/** `snapshot-catalog` reads the settings of every service and no others: the snapshot store is a setting of the agents. */
export const snapshotCatalogFields = {} as const;
