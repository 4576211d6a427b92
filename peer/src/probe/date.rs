//! The server's clock, as far as its answers tell: HTTP's Date has whole seconds (RFC 9110 section 6.6.1).

use std::time::{Duration, SystemTime};

use tonic::metadata::MetadataMap;

use super::ClockOffset;

/// How far our clock was ahead of the server's at `now`, when the answer came that began with `metadata`.
pub(super) fn offset(metadata: &MetadataMap, now: SystemTime) -> Option<ClockOffset> {
    let date = httpdate::parse_http_date(metadata.get("date")?.to_str().ok()?).ok()?;
    Some(compare(date, now))
}

/// `date` is the beginning of the second that it was there.
fn compare(date: SystemTime, now: SystemTime) -> ClockOffset {
    match now.duration_since(date) {
        Ok(ahead) => ClockOffset { by: ahead.saturating_sub(Duration::from_secs(1)), behind: false },
        Err(behind) => ClockOffset { by: behind.duration(), behind: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_that_a_date_leaves_open_is_no_offset() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |ms| compare(date, SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(at(1_000_000), ClockOffset { by: Duration::ZERO, behind: false });
        assert_eq!(at(1_000_999), ClockOffset { by: Duration::ZERO, behind: false });
        assert_eq!(at(1_061_000), ClockOffset { by: Duration::from_secs(60), behind: false });
        assert_eq!(at(940_000), ClockOffset { by: Duration::from_secs(60), behind: true });
    }

    #[test]
    fn an_answer_without_a_readable_date_tells_nothing() {
        let mut metadata = MetadataMap::new();
        assert_eq!(offset(&metadata, SystemTime::now()), None);
        metadata.insert("date", "yesterday".parse().unwrap());
        assert_eq!(offset(&metadata, SystemTime::now()), None);
    }
}
