//! Outboxes.
