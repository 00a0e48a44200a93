/** Whether suites run whole with the trail on, and on all databases: `TEST_TRAIL=all`. */
export const isWhole: boolean = process.env["TEST_TRAIL"] === "all";
