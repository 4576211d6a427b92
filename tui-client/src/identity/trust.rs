//! What is made of a peer by what it shows: whether it is one that was verified, or calls itself like one and is not.
//!
//! Invariant: whoever is called like somebody who is remembered, and has not that one's key, is held until the user has decided;
//! unless it proves the code of a sealed room, and no more than that is known of the other.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use patchcord_peer::{IdentityKey, Judge, Judgement, PeerId, Shown};

use super::{
    How, KnownPeer,
    known_peers::{KnownPeersError, KnownPeersFile},
    likeness::Likeness,
};
use crate::safe_text::SafeText;

/// Peers of this session that are kept in mind; rooms have fewer.
const SESSION_PEERS_MAX: usize = 4096;

/// What is made of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Its key is that of this one.
    Known(KnownPeer),
    /// Nothing.
    New,
    /// It is called like this one, and has another key or none.
    CalledLike(KnownPeer),
    /// It was verified in this session, and now shows another certificate and no key that is known.
    OtherCertificate,
}

/// What is accepted of somebody who shows no key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Proof {
    Key(IdentityKey),
    Certificate([u8; 32]),
}

#[derive(Debug, Default)]
struct Session {
    known: Vec<KnownPeer>,
    /// By the user, for as long as the program runs.
    accepted: HashSet<(Proof, Likeness)>,
    /// With which certificate each peer was verified.
    verified: HashMap<PeerId, [u8; 32]>,
}

/// Everything that is known of peers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Our own, which another client of ours may show.
    own_key: Option<IdentityKey>,
    file: Option<KnownPeersFile>,
    /// Whoever comes has proved that it knows the code.
    sealed: bool,
    session: Arc<Mutex<Session>>,
}

impl Trust {
    /// With what is in the file.
    pub fn new(file: KnownPeersFile, known: Vec<KnownPeer>, own_key: Option<IdentityKey>) -> Self {
        let trust = Self { file: Some(file), own_key, ..Self::default() };
        trust.session().known = known;
        trust
    }

    /// For a sealed room.
    pub fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// Without a file, for as long as the program runs.
    pub fn of(known: Vec<KnownPeer>) -> Self {
        let trust = Self::default();
        trust.session().known = known;
        trust
    }

    /// For [`patchcord_peer::Config::judge`].
    pub fn judge(&self) -> Judge {
        let trust = self.clone();
        Judge::new(move |shown| {
            trust.refresh();
            match trust.opinion(shown) {
                Opinion::Known(_) => {
                    trust.note_verified(shown);
                    Judgement::Known
                }
                Opinion::New => Judgement::New,
                Opinion::CalledLike(_) | Opinion::OtherCertificate => Judgement::Held,
            }
        })
    }

    /// What is made of a peer, as far as is known now.
    pub fn opinion(&self, shown: &Shown) -> Opinion {
        let session = self.session();
        let likeness = Likeness::of(&SafeText::name(&shown.display_name));
        let is_its_own = |known: &&KnownPeer| Some(known.key) == shown.key;
        // A code vouches for the one that is here as much as another did for the one that is remembered.
        let has_a_name = |known: &&KnownPeer| !self.sealed || known.how != How::Code;
        let is_alike = |known: &&KnownPeer| has_a_name(known) && Likeness::of(&known.name).is_like(&likeness);
        let own = session.known.iter().find(is_its_own);
        let namesakes = || session.known.iter().filter(is_alike);
        let accepted = session.accepted.contains(&(proof(shown), likeness.clone()));
        if !accepted
            && !namesakes().any(|known| is_its_own(&known))
            && let Some(namesake) = namesakes().next_back()
        {
            return Opinion::CalledLike(namesake.clone());
        }
        if let Some(own) = own {
            return Opinion::Known(own.clone());
        }
        let verified = session.verified.get(&shown.peer_id);
        if !accepted && verified.is_some_and(|certificate| *certificate != shown.certificate) {
            return Opinion::OtherCertificate;
        }
        Opinion::New
    }

    /// Whether it is that of this profile.
    pub fn is_own(&self, key: IdentityKey) -> bool {
        self.own_key == Some(key)
    }

    /// Whose key it is.
    pub fn known(&self, key: Option<IdentityKey>) -> Option<KnownPeer> {
        self.session().known.iter().find(|known| Some(known.key) == key).cloned()
    }

    /// From here on the peer is known by its key. With `replaces` nobody else of a name like its own is; gives who was.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn remember(&self, peer: &KnownPeer, replaces: bool) -> Result<Vec<KnownPeer>, KnownPeersError> {
        let file = self.file.as_ref().ok_or(KnownPeersError::NoProfile)?;
        let (known, forgotten) = file.remember(peer, replaces)?;
        self.session().known = known;
        Ok(forgotten)
    }

    /// For as long as the program runs the peer is who it says, by its key or, without one, its certificate.
    pub fn accept(&self, shown: &Shown) {
        let likeness = Likeness::of(&SafeText::name(&shown.display_name));
        let mut session = self.session();
        // Forgetting an acceptance only asks the user again.
        if session.accepted.len() >= SESSION_PEERS_MAX {
            session.accepted.clear();
        }
        session.accepted.insert((proof(shown), likeness));
    }

    /// The peer is verified for as long as it shows this certificate.
    pub fn note_verified(&self, shown: &Shown) {
        let mut session = self.session();
        if session.verified.len() < SESSION_PEERS_MAX || session.verified.contains_key(&shown.peer_id) {
            session.verified.insert(shown.peer_id.clone(), shown.certificate);
        }
    }

    /// Another client may have learnt something. A file that cannot be read any more changes nothing.
    fn refresh(&self) {
        let Some(file) = &self.file else { return };
        match file.read() {
            Ok(known) => self.session().known = known,
            Err(reason) => tracing::warn!(%reason, path = %file.path().display(), "cannot read who is known"),
        }
    }

    /// Nothing in here panics half way through a change.
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn proof(shown: &Shown) -> Proof {
    shown.key.map_or(Proof::Certificate(shown.certificate), Proof::Key)
}
