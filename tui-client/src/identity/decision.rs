//! What a user decides about a peer, carried out: remembered on disk where that is possible, and the room is told.

use jiff::Timestamp;
use patchcord_peer::{IdentityKey, PeerId, Room, SendError, ShortString, Shown};

use super::{How, KnownPeer, Trust, known_peers::KnownPeersError};
use crate::safe_text::SafeText;

/// About one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The string was the same on both sides.
    Verified {
        /// Who, as it was shown when the user decided.
        shown: Shown,
        /// The one that was compared.
        string: ShortString,
    },
    /// It is not wanted.
    Refuse,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is known by its key from here on.
    Remembered {
        /// Whose place it took: they were called like it.
        forgotten: Vec<KnownPeer>,
    },
    /// It is verified while it shows the certificate that it shows now, and why not for longer.
    Session {
        /// In one clause.
        why: String,
    },
    /// It is disconnected.
    Refused,
}

impl Trust {
    /// Carries out what was decided about the peer of that id.
    ///
    /// # Errors
    /// What the room said.
    pub async fn decide(
        &self,
        room: &Room,
        peer_id: PeerId,
        decision: &Decision,
    ) -> Result<Outcome, SendError> {
        match decision {
            Decision::Refuse => room.refuse(peer_id).await.map(|()| Outcome::Refused),
            Decision::Verified { shown, string } => {
                let outcome = self.verified(shown).await;
                // In a sealed room the string was bound by the exchange, and there is nothing to tell.
                room.compared(peer_id.clone(), *string).await?;
                room.judge_again(peer_id).await.map(|()| outcome)
            }
        }
    }

    async fn verified(&self, shown: &Shown) -> Outcome {
        self.note_verified(shown);
        let Some(key) = shown.key else {
            self.accept(shown);
            return Outcome::Session { why: "it shows no identity key to know it by again".into() };
        };
        let name = SafeText::name(&shown.display_name);
        let peer = KnownPeer { key, how: How::Compared, at: Timestamp::now(), name };
        let (trust, kept) = (self.clone(), peer.clone());
        // It waits for other clients and for the disk.
        let remembered = tokio::task::spawn_blocking(move || trust.remember(&kept, true)).await;
        match remembered.unwrap_or_else(|failed| Err(std::io::Error::other(failed).into())) {
            Ok(forgotten) => Outcome::Remembered { forgotten },
            Err(reason) => {
                self.accept(shown);
                Outcome::Session { why: format!("it cannot be remembered: {reason}") }
            }
        }
    }

    /// In a sealed room: the peer knew the code. Who is remembered already stays as it is.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn knew_the_code(&self, shown: &Shown) -> Result<(), KnownPeersError> {
        let is_new = |key: &IdentityKey| self.known(Some(*key)).is_none() && !self.is_own(*key);
        let Some(key) = shown.key.filter(is_new) else { return Ok(()) };
        let name = SafeText::name(&shown.display_name);
        match self.remember(&KnownPeer { key, how: How::Code, at: Timestamp::now(), name }, false) {
            // That was said when the program started.
            Err(KnownPeersError::NoProfile) => Ok(()),
            remembered => remembered.map(drop),
        }
    }
}
