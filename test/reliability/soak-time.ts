/** How much faster than real time the sound and the clock of the soak run. */
export const pace = 10;
/** The wall clock of the soak at the monotonic time zero of the board. */
export const soakBeganMs = Date.UTC(2026, 10, 20);
