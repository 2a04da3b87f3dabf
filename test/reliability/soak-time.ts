/** How much faster than real the soak's sound and clock run. */
export const pace = 10;
/** The soak's wall clock when the board's monotonic clock stood at zero. */
export const soakBeganMs = Date.UTC(2026, 10, 20);
