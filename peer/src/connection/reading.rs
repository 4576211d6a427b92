//! What the engine itself finds in a description: the gate of descriptions is held against it.

/// How many candidates and how many fingerprints; none when it reads no description.
pub(crate) fn read_by_engine(sdp: &str) -> Option<(usize, usize)> {
    let read = rtc::sdp::SessionDescription::try_from(sdp.to_owned()).ok()?;
    let media = read.media_descriptions.iter().flat_map(|media| &media.attributes);
    let attributes: Vec<_> = read.attributes.iter().chain(media).collect();
    let count = |name| attributes.iter().filter(|attribute| attribute.key.trim() == name).count();
    Some((count("candidate"), count("fingerprint")))
}
