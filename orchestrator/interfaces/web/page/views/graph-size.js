/** The size of a task in the drawing of the graph, for the view and for its worker. */
export const WIDTH = 208;
export const HEIGHT = 56;
