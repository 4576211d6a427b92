//! `patchcord-server token`: signs one token. What the server would refuse is refused here first, where somebody is
//! who can do something about it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use patchcord_server::tokens::{
    Claims, Denied, Jwk, KeySet, Permission, Permissions, RoomPattern, Rules, random_id,
};

/// Arguments of `patchcord-server token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The file with the key to sign with, as `patchcord-server key` makes it.
    #[arg(long, env = "PATCHCORD_KEY_FILE", value_name = "PATH")]
    key_file: PathBuf,

    /// Which key of the file. [default: its only one]
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,

    #[command(flatten)]
    rooms: RoomArgs,

    /// How long it is good for: seconds, or with s, m, h or d behind. Who has joined by then stays.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
    ttl: Duration,

    /// Who it is for, which operators see; at most 128 bytes.
    #[arg(long, value_name = "NAME", default_value = "")]
    sub: String,

    /// What it permits: join (enter a room), create (open it by entering), send (reach other peers), turn (be given
    /// TURN credentials), admin (use an admin door with --admin-by-token; for every room).
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',', value_parser = permission)]
    #[arg(default_value = "join,create,send,turn")]
    perm: Vec<Permission>,

    /// For which server: its --token-audience.
    #[arg(long, env = "PATCHCORD_TOKEN_AUDIENCE", value_name = "NAME", default_value = "patchcord")]
    aud: String,

    /// What that server's --token-ttl-max is, in seconds.
    #[arg(
        long = "ttl-max",
        env = "PATCHCORD_TOKEN_TTL_MAX",
        value_name = "SECONDS",
        default_value_t = 86_400
    )]
    ttl_max_s: u64,
}

/// Which rooms.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct RoomArgs {
    /// The room that may be joined.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,

    /// All rooms that may be joined: those whose names begin so; '' for every room.
    #[arg(long, value_name = "PREFIX")]
    room_prefix: Option<String>,
}

impl RoomArgs {
    fn pattern(&self) -> RoomPattern {
        match &self.room {
            Some(name) => RoomPattern::Name(name.clone()),
            None => RoomPattern::Prefix(self.room_prefix.clone().unwrap_or_default()),
        }
    }
}

/// Signs it; what is returned is for stdout.
pub fn run(args: &TokenArgs) -> Result<String, String> {
    let of_file = |reason: String| format!("--key-file {}: {reason}", args.key_file.display());
    let keys = KeySet::read(&args.key_file).map_err(|reason| of_file(reason.to_string()))?;
    let key = choose(&keys, args.kid.as_deref()).map_err(of_file)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let permissions: Permissions = args.perm.iter().copied().collect();
    let claims = Claims {
        audience: args.aud.clone(),
        subject: args.sub.clone(),
        token_id: random_id(),
        issued_at: now,
        expires_at: now.saturating_add(args.ttl.as_secs()),
        room: args.rooms.pattern(),
        permissions,
    };
    if permissions.has(Permission::Admin) && !claims.room.is_every() {
        return Err("--perm admin needs --room-prefix '': the admin door is about every room".to_owned());
    }
    if args.ttl.as_secs() > args.ttl_max_s {
        return Err(format!(
            "--ttl: the server takes a token that is good for {} s at most (its --token-ttl-max; tell it here as \
             --ttl-max if it is more)",
            args.ttl_max_s
        ));
    }
    let rules = Rules { audience: args.aud.clone(), ttl_max: Duration::from_secs(args.ttl_max_s) };
    claims.check(&rules, now).map_err(|denied| match denied {
        // Whoever is to be asked is the one who reads this.
        Denied::Claim(claim) => format!("the server would refuse this: the token's {claim}"),
        denied => format!("the server would refuse this: {denied}"),
    })?;
    let token = claims.sign(key).map_err(|reason| of_file(reason.to_string()))?;
    Ok(format!("{token}\n"))
}

fn choose<'a>(keys: &'a KeySet, kid: Option<&str>) -> Result<&'a Jwk, String> {
    let ids = || keys.keys().iter().map(Jwk::id).collect::<Vec<_>>().join(", ");
    match (kid, keys.keys()) {
        (Some(kid), _) => keys.get(kid).ok_or_else(|| format!("it has no key {kid:?}, but {}", ids())),
        (None, [key]) => Ok(key),
        (None, _) => Err(format!("it has several keys, {}: choose one with --kid", ids())),
    }
}

fn permission(name: &str) -> Result<Permission, String> {
    let known = || Permission::ALL.map(Permission::as_str).join(", ");
    Permission::parse(name).ok_or_else(|| format!("there are {}", known()))
}

/// Seconds, or a number with its unit.
fn span(text: &str) -> Result<Duration, &'static str> {
    let (number, unit_s) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3_600),
        Some(number) if text.ends_with('d') => (number, 86_400),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s));
    match seconds {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("write a number of seconds, or one with s, m, h or d behind, such as 10m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        let seconds = |text| span(text).map(|span| span.as_secs()).ok();
        assert_eq!(["90", "90s", "10m", "2h", "1d"].map(seconds), [90, 90, 600, 7_200, 86_400].map(Some));
        for text in ["", "0", "m", "-1m", "1.5h", "10 m", "1w", "99999999999999999999", "300000000000000000d"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
