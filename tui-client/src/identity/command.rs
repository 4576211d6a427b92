//! `patchcord identity`: the own key, who is remembered, and forgetting one of them.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{KnownPeer, Profile, ProfileArgs, likeness::Likeness};
use crate::{
    exit::{Exit, Failure},
    safe_text::SafeText,
};

/// Beginnings of keys that are shorter would often mean several.
const KEY_CHARS_MIN: usize = 4;

/// Arguments of `patchcord identity`.
#[derive(Args, Debug)]
pub struct CommandArgs {
    /// Whose.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// What to do; without it the own key and all who are remembered are shown.
    #[command(subcommand)]
    pub command: Option<IdentityCommand>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Forget a peer that was verified: it is unverified when it comes again.
    Forget {
        /// Its name, or the beginning of its key.
        peer: String,
    },
}

/// Runs `patchcord identity`.
///
/// # Errors
/// When a file of the profile cannot be used, or nobody or several are meant.
pub fn run(args: &CommandArgs) -> Result<Exit, Failure> {
    let profile = Profile::of_user(&args.profile.profile, |name| std::env::var_os(name))
        .map_err(|reason| Failure::System { doing: "there is no place for a profile", reason })?;
    let lines = match &args.command {
        None => show(&profile)?,
        Some(IdentityCommand::Forget { peer }) => forget(&profile, peer)?,
    };
    // Whoever closed stdout does not want it.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    Ok(Exit::Done)
}

fn show(profile: &Profile) -> Result<String, Failure> {
    let identity = profile.identity()?;
    let file = profile.known_peers();
    let known = file.read().map_err(|reason| Failure::KnownPeers { path: file.path(), reason })?;
    let mut lines = format!(
        "your identity key  {}\n  whole            {}\n  kept in          {}\n",
        identity.key().short(),
        identity.key(),
        profile.key_path().display()
    );
    if known.is_empty() {
        lines.push_str(
            "nobody is remembered yet: /verify PEER yes remembers a peer that you compared words with\n",
        );
    }
    for peer in known {
        lines.push_str(&line(&peer));
    }
    Ok(lines)
}

fn line(peer: &KnownPeer) -> String {
    format!("{}  {}  {:<9}  {}\n", peer.key.short(), peer.day(), peer.how.words(), peer.name)
}

fn forget(profile: &Profile, wanted: &str) -> Result<String, Failure> {
    let file = profile.known_peers();
    let cannot = |reason| Failure::KnownPeers { path: file.path(), reason };
    let key = wanted.to_ascii_lowercase().replace('-', "");
    let likeness = Likeness::of(&SafeText::line(wanted));
    let by_key = |peer: &KnownPeer| key.len() >= KEY_CHARS_MIN && peer.key.to_string().starts_with(&key);
    let by_name = |peer: &KnownPeer| Likeness::of(&peer.name).is_like(&likeness);
    let known = file.read().map_err(cannot)?;
    let by_name: Vec<_> = known.iter().filter(|peer| by_name(peer)).collect();
    let found = if by_name.is_empty() { known.iter().filter(|peer| by_key(peer)).collect() } else { by_name };
    let shown = SafeText::line(wanted);
    match found[..] {
        [] => Err(Failure::Usage(format!(
            "nobody who is remembered is called {shown}: \"patchcord identity\" lists who is"
        ))),
        [peer] => {
            file.forget(|known| known.key == peer.key).map_err(cannot)?;
            Ok(format!("forgotten: {}", line(peer)))
        }
        _ => {
            let keys: Vec<_> = found.iter().map(|peer| peer.key.short()).collect();
            Err(Failure::Usage(format!("{shown} is more than one: write {}", keys.join(" or "))))
        }
    }
}
