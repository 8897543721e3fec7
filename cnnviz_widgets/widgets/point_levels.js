/** Levels on which a point is drawn, the higher ones later; 0: not at all. */
export const FAINT = 1;
export const PLAIN = 2;
export const CHOSEN = 3;
