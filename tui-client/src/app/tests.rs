//! The app as a function: events in, state and effects out.
