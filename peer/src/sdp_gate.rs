//! Which session descriptions of a peer may reach the engine, and as what: one data channel transport and one certificate;
//! candidates are taken out, to go through their own gate and count like any. Pure.
//!
//! Invariant: what passes has at most the sizes given here, nothing but what is needed, and exactly one value of whatever
//! decides who is spoken to, for the engine's own reading too.

use patchcord_proto::limits::{CANDIDATE_BYTES_MAX, SDP_BYTES_MAX};

use crate::{
    connection::Fingerprint,
    negotiation::{Candidate, username_fragments},
};

/// Browsers need about 20 lines for a data channel, and as many again for candidates.
const LINES_MAX: usize = 200;
const LINE_BYTES_MAX: usize = 1024;

const CANDIDATE: &str = "a=candidate:";
const END_OF_CANDIDATES: &str = "a=end-of-candidates";
const FINGERPRINT: &str = "a=fingerprint:";

/// Lines beside attributes that the engine cannot do without: contacts, bandwidths and the like stay outside.
const TYPES: [&str; 6] = ["v=", "o=", "s=", "c=", "t=", "m="];

/// Attributes that reach the engine or the negotiation. Whatever else a stack says is dropped, as RFC 8866 section 5.13 has
/// it of one that is not known.
const ATTRIBUTES: [&str; 16] = [
    "extmap-allow-mixed",
    "fingerprint",
    "group",
    "ice-lite",
    "ice-options",
    "ice-pwd",
    "ice-ufrag",
    "inactive",
    "max-message-size",
    "mid",
    "recvonly",
    "sctp-port",
    "sendonly",
    "sendrecv",
    "setup",
    "x-patchcord-answers",
];

/// Why a description was refused; reads on after "its session description".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("has more than {SDP_BYTES_MAX} bytes")]
    TooLong,
    #[error("has more than {LINES_MAX} lines")]
    TooManyLines,
    #[error("has a line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("is none: a line is not TYPE=VALUE (RFC 8866 section 5)")]
    Malformed,
    #[error("has white space around the name or the value of an attribute")]
    Padded,
    #[error("has no origin of six fields in its second line, or more than one (RFC 8866 section 5.2)")]
    Origin,
    #[error("describes something else than one data channel transport (RFC 8841)")]
    OtherMedia,
    #[error("names no certificate by a SHA-256, or more than one (RFC 8122)")]
    Fingerprint,
    #[error("has no ICE credentials, or more than one, or ones outside the limits (RFC 8839 section 5.4)")]
    Credentials,
    #[error("has no a=setup that a data channel can have (RFC 8842), or more than one")]
    Setup,
}

/// A description that may reach the engine, and the candidates that were in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub sdp: String,
    /// The certificate that it names.
    pub fingerprint: Fingerprint,
    /// In their order, with the end-of-candidates.
    pub candidates: Vec<Candidate>,
}

/// Checks a description of a peer.
pub(crate) fn check(sdp: &str) -> Result<Described, Unfit> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(Unfit::TooLong);
    }
    let lines: Vec<&str> = sdp.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    // The last one ends with a line feed, too.
    let lines = lines.strip_suffix(&[""]).unwrap_or(&lines);
    check_lines(lines)?;
    check_media(lines)?;
    let (fingerprint_line, fingerprint) = fingerprint(lines)?;
    one(lines, "a=ice-ufrag:", |value| is_ice_text(value, 4)).ok_or(Unfit::Credentials)?;
    one(lines, "a=ice-pwd:", |value| is_ice_text(value, 22)).ok_or(Unfit::Credentials)?;
    let may_be_setup = |value: &str| matches!(value, "actpass" | "active" | "passive");
    one(lines, "a=setup:", may_be_setup).ok_or(Unfit::Setup)?;

    let mut named = false;
    let kept = lines.iter().filter(|line| match attribute(line) {
        // Said again, perhaps in another case, it would be two to whoever counts.
        Some(("fingerprint", _)) => **line == fingerprint_line && !std::mem::replace(&mut named, true),
        Some((name, _)) => ATTRIBUTES.contains(&name),
        None => TYPES.iter().any(|prefix| line.starts_with(prefix)),
    });
    let sdp = kept.flat_map(|line| [*line, "\r\n"]).collect::<String>();
    let candidates = candidates(lines, username_fragments(&sdp).into_iter().next());
    Ok(Described { sdp, fingerprint, candidates })
}

/// Name and value of an `a=` line, as they are written.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

/// Whether the engine, which trims before it looks for the colon, could read an attribute here that a prefix does not find.
fn is_padded(line: &str) -> bool {
    let Some((name, value)) = attribute(line) else { return false };
    let known = name.trim();
    let is_known = ATTRIBUTES.contains(&known) || ["candidate", "end-of-candidates"].contains(&known);
    is_known && (known != name || value.trim() != value)
}

fn check_lines(lines: &[&str]) -> Result<(), Unfit> {
    if lines.len() > LINES_MAX {
        return Err(Unfit::TooManyLines);
    }
    for line in lines {
        if line.len() > LINE_BYTES_MAX {
            return Err(Unfit::LineTooLong);
        }
        let has_type = matches!(line.as_bytes(), [b'a'..=b'z', b'=', ..]);
        if !has_type || line.chars().any(char::is_control) {
            return Err(Unfit::Malformed);
        }
        if is_padded(line) {
            return Err(Unfit::Padded);
        }
    }
    if lines.first() != Some(&"v=0") {
        return Err(Unfit::Malformed);
    }
    let has_origin = lines.get(1).and_then(|line| line.strip_prefix("o=")).is_some_and(is_origin);
    let has_one_origin = lines.iter().filter(|line| line.starts_with("o=")).count() == 1;
    if has_origin && has_one_origin { Ok(()) } else { Err(Unfit::Origin) }
}

fn is_origin(origin: &str) -> bool {
    let fields: Vec<&str> = origin.split(' ').collect();
    let [_, session_id, version, "IN", "IP4" | "IP6", _] = fields[..] else { return false };
    let is_number =
        |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()) && text.parse::<u64>().is_ok();
    let is_word = |text: &&str| !text.is_empty() && !text.contains(char::is_whitespace);
    is_number(session_id) && is_number(version) && fields.iter().all(is_word)
}

fn check_media(lines: &[&str]) -> Result<(), Unfit> {
    let mut media = lines.iter().filter_map(|line| line.strip_prefix("m="));
    let (Some(media), None) = (media.next(), media.next()) else { return Err(Unfit::OtherMedia) };
    let fields: Vec<&str> = media.split(' ').collect();
    let ["application", port, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" | "DTLS/SCTP", "webrtc-datachannel"] =
        fields[..]
    else {
        return Err(Unfit::OtherMedia);
    };
    // Port 0 rejects the section (RFC 3264 section 6).
    if port.parse::<u16>().is_ok_and(|port| port != 0) { Ok(()) } else { Err(Unfit::OtherMedia) }
}

/// The first line of the one SHA-256, and what it says. Some stacks say SHA-384 and SHA-512 of the same certificate as well,
/// which the engine need not see; a weaker one could be another certificate's (RFC 8122 section 5).
fn fingerprint<'a>(lines: &[&'a str]) -> Result<(&'a str, Fingerprint), Unfit> {
    let mut found: Option<(&str, Fingerprint)> = None;
    for line in lines.iter().filter(|line| line.starts_with(FINGERPRINT)) {
        let (algorithm, digits) = line[FINGERPRINT.len()..].split_once(' ').ok_or(Unfit::Fingerprint)?;
        match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => {
                let named = digest(digits).ok_or(Unfit::Fingerprint)?;
                if found.get_or_insert((line, named)).1 != named {
                    return Err(Unfit::Fingerprint);
                }
            }
            "sha-384" if digest::<48>(digits).is_some() => {}
            "sha-512" if digest::<64>(digits).is_some() => {}
            _ => return Err(Unfit::Fingerprint),
        }
    }
    found.ok_or(Unfit::Fingerprint)
}

/// Pairs of hexadecimal digits between colons.
fn digest<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let mut digest = [0; BYTES];
    let mut bytes = digits.split(':').map(|byte| match byte.len() {
        2 if byte.bytes().all(|digit| digit.is_ascii_hexdigit()) => u8::from_str_radix(byte, 16).ok(),
        _ => None,
    });
    for byte in &mut digest {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(digest)
}

/// The value of an attribute that is there, more than once only with one value, and passes.
fn one<'a>(lines: &[&'a str], prefix: &str, passes: impl Fn(&str) -> bool) -> Option<&'a str> {
    let mut values = lines.iter().filter_map(|line| line.strip_prefix(prefix));
    let value = values.next().filter(|value| passes(value))?;
    values.all(|other| other == value).then_some(value)
}

fn is_ice_text(text: &str, bytes_min: usize) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (bytes_min..=256).contains(&text.len()) && text.bytes().all(is_ice_char)
}

fn candidates(lines: &[&str], fragment: Option<String>) -> Vec<Candidate> {
    let mid = lines.iter().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or("0");
    let texts = lines.iter().filter_map(|line| match *line {
        END_OF_CANDIDATES => Some(""),
        line if line.len() <= CANDIDATE_BYTES_MAX && line.starts_with(CANDIDATE) => line.strip_prefix("a="),
        _ => None,
    });
    texts
        .map(|text| Candidate {
            candidate: text.to_owned(),
            sdp_mid: Some(mid.to_owned()),
            sdp_m_line_index: Some(0),
            username_fragment: fragment.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
