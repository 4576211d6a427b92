//! What the screen shows, drawn.
