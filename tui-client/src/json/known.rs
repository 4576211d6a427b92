//! A remembered peer in `--json` output.

use serde::Serialize;

use crate::identity::KnownPeer;

/// A peer that is remembered.
#[derive(Debug, Serialize)]
pub(crate) struct OutputKnown {
    key: String,
    name: String,
    how: &'static str,
    at: String,
}

impl From<KnownPeer> for OutputKnown {
    fn from(known: KnownPeer) -> Self {
        let KnownPeer { key, how, at, name } = known;
        Self {
            key: key.to_string(),
            name: name.as_str().to_owned(),
            how: how.as_str(),
            at: format!("{at:.3}"),
        }
    }
}
