//! What engines of others send passes, and what could be read in two ways does not.

use proptest::prelude::*;

use super::*;

/// As Chrome, Firefox, aiortc and our own engine describe a data channel, in that order.
fn real() -> [String; 4] {
    let digest = |bytes| vec!["4A"; bytes].join(":");
    let sha_256 = format!("a=fingerprint:sha-256 {}", digest(32));
    let chrome = format!(
        "v=0\no=- 4611731400430051336 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\na=extmap-allow-mixed\n\
         a=msid-semantic: WMS\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=ice-ufrag:4ZcD\n\
         a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZa\na=ice-options:trickle\n{sha_256}\na=setup:actpass\na=mid:0\n\
         a=sctp-port:5000\na=max-message-size:262144\n"
    );
    let firefox = format!(
        "v=0\no=mozilla...THIS_IS_SDPARTA-99.0 5183 0 IN IP4 0.0.0.0\ns=-\nt=0 0\na=sendrecv\n{sha_256}\n\
         a=group:BUNDLE 0\na=ice-options:trickle\na=msid-semantic:WMS *\n\
         m=application 60000 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 192.168.1.7\n\
         a=candidate:0 1 UDP 2122187007 192.168.1.7 60000 typ host\na=sendrecv\na=end-of-candidates\n\
         a=ice-pwd:c1d8a4c6e7f84a4a8e6b6b0a2c4d1234\na=ice-ufrag:5c1d8a4c\na=mid:0\na=setup:actpass\n\
         a=sctp-port:5000\na=max-message-size:1073741823\n"
    );
    let aiortc = format!(
        "v=0\no=- 3910000000 3910000000 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE 0\na=msid-semantic:WMS *\n\
         m=application 50418 DTLS/SCTP webrtc-datachannel\nc=IN IP4 10.0.0.7\na=mid:0\na=sctp-port:5000\n\
         a=max-message-size:65536\na=candidate:f00 1 udp 2130706431 10.0.0.7 50418 typ host\n\
         a=candidate:f01 1 udp 1694498815 11.0.0.9 50418 typ srflx raddr 10.0.0.7 rport 50418\na=end-of-candidates\n\
         a=ice-ufrag:AbCd\na=ice-pwd:0123456789012345678901\n{sha_256}\na=fingerprint:sha-384 {}\n\
         a=fingerprint:sha-512 {}\na=setup:actpass\n",
        digest(48),
        digest(64)
    );
    let ours = format!(
        "v=0\no=- 7151 1764370000 IN IP4 0.0.0.0\ns=-\nt=0 0\n{sha_256}\na=extmap-allow-mixed\na=group:BUNDLE 0\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=setup:active\na=mid:0\na=sendrecv\n\
         a=sctp-port:5000\na=ice-ufrag:abcdabcdabcdabcd\na=ice-pwd:abcdabcdabcdabcdabcdabcdabcdabcd\n\
         a=x-patchcord-answers:defgdefgdefgdefg\n"
    );
    [chrome, firefox, aiortc, ours].map(|sdp| sdp.replace('\n', "\r\n"))
}

#[test]
fn what_real_engines_send_passes_without_its_candidates() {
    let described: Vec<_> = real().iter().map(|sdp| check(sdp).expect("it is fit")).collect();
    let counts: Vec<_> = described.iter().map(|described| described.candidates.len()).collect();
    assert_eq!(counts, [0, 2, 3, 0]);
    for (described, sdp) in described.iter().zip(real()) {
        assert!(!described.sdp.contains("candidate:") && !described.sdp.contains("end-of"));
        assert!(!described.sdp.contains("sha-384") && !described.sdp.contains("sha-512"));
        assert!(described.sdp.lines().all(|line| sdp.lines().any(|other| other == line)));
        assert_eq!(check(&described.sdp).map(|again| again.sdp).as_ref(), Ok(&described.sdp));
    }
    let semantic = "a=msid-semantic: WMS\r\n";
    assert_eq!(described[0].sdp, real()[0].replace(semantic, ""), "nothing else is touched");
    assert!(described.iter().all(|described| described.fingerprint == [0x4A; 32]));
    let first = &described[2].candidates[0];
    assert_eq!(first.candidate, "candidate:f00 1 udp 2130706431 10.0.0.7 50418 typ host");
    assert_eq!((first.sdp_mid.as_deref(), first.username_fragment.as_deref()), (Some("0"), Some("AbCd")));
    assert_eq!(described[2].candidates[2].candidate, "", "the end-of-candidates");
}

#[test]
fn a_line_feed_alone_ends_a_line_too() {
    let [chrome, ..] = real();
    assert_eq!(check(&chrome.replace("\r\n", "\n")), check(&chrome));
}

/// Chrome's with `from` replaced.
fn with(from: &str, to: &str) -> Result<Described, Unfit> {
    let [chrome, ..] = real();
    assert!(chrome.contains(from), "{from}");
    check(&chrome.replacen(from, to, 1))
}

#[test]
fn sizes_are_limited() {
    let more = |count: usize, line: &str| with("s=-\r\n", &format!("s=-\r\n{}", line.repeat(count)));
    assert_eq!(more(1, &format!("a={}\r\n", "x".repeat(LINE_BYTES_MAX - 1))), Err(Unfit::LineTooLong));
    assert!(more(1, &format!("a={}\r\n", "x".repeat(LINE_BYTES_MAX - 2))).is_ok());
    assert_eq!(more(LINES_MAX, "a=x\r\n"), Err(Unfit::TooManyLines));
    assert_eq!(more(20, &format!("a={}\r\n", "x".repeat(900))), Err(Unfit::TooLong));
    assert_eq!(check(""), Err(Unfit::Malformed));
    assert_eq!(check(&"\n".repeat(100)), Err(Unfit::Malformed));
}

#[test]
fn whatever_is_no_single_data_channel_transport_is_refused() {
    const MEDIA: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
    for other in [
        "".to_owned(),
        MEDIA.repeat(2),
        format!("{MEDIA}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".into(),
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n".into(),
        "m=application 9 RTP/AVP webrtc-datachannel\r\n".into(),
        "m=application 9 UDP/DTLS/SCTP 5000\r\n".into(),
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel 5000\r\n".into(),
    ] {
        assert_eq!(with(MEDIA, &other), Err(Unfit::OtherMedia), "{other}");
    }
}

#[test]
fn one_certificate_is_named_by_one_sha_256() {
    let [chrome, ..] = real();
    let line = chrome.lines().find(|line| line.starts_with(FINGERPRINT)).unwrap();
    let another = line.replacen("4A", "4B", 1);
    for other in [
        "a=x".to_owned(),
        format!("{line}\r\n{another}"),
        format!("{line}\r\na=fingerprint:sha-1 {}", ["4A"; 20].join(":")),
        line.replace("sha-256", "md5"),
        line.replacen("4A:", "", 1),
        line.replacen("4A", "4G", 1),
        line.replacen("4A", "+A", 1),
        format!("{line}\r\na=fingerprint:sha-512 {}", ["4A"; 32].join(":")),
    ] {
        assert_eq!(with(line, &other), Err(Unfit::Fingerprint), "{other}");
    }
    for again in [line.to_owned(), line.to_ascii_lowercase(), line.replace("sha", "SHA")] {
        assert_eq!(with(line, &format!("{line}\r\n{again}")), check(&chrome), "said twice is one");
    }
    let longer_first = format!("a=fingerprint:sha-512 {}\r\n{line}", ["4B"; 64].join(":"));
    assert_eq!(with(line, &longer_first), check(&chrome), "whichever comes first");
    let upper = with(line, &line.replace("sha", "SHA")).unwrap();
    assert_eq!((upper.fingerprint, read_by_engine(&upper.sdp)), ([0x4A; 32], (0, 1)));
}

fn read_by_engine(sdp: &str) -> (usize, usize) {
    crate::connection::read_by_engine(sdp).expect("it is a description")
}

#[test]
fn white_space_hides_no_attribute_from_the_gate_that_the_engine_finds() {
    let candidate = "candidate:1 1 udp 1 127.0.0.1 5000 typ host";
    let fingerprint = format!("fingerprint:sha-256 {}", ["4B"; 32].join(":"));
    for hidden in
        [candidate, &fingerprint, "ice-ufrag:abcd", "ice-pwd:x", "setup:active", "end-of-candidates"]
    {
        for space in [" ", "  ", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{3000}"] {
            let (name, value) = hidden.split_once(':').unwrap_or((hidden, ""));
            for padded in [
                format!("{space}{hidden}"),
                format!("{hidden}{space}"),
                format!("{name}{space}:{value}"),
                format!("{name}:{space}{value}"),
            ] {
                let other = format!("s=-\r\na={padded}");
                assert_eq!(with("s=-", &other), Err(Unfit::Padded), "{padded:?}");
            }
        }
    }
    for harmless in ["s=", "s= ", "s=\u{a0}"] {
        assert!(with("s=-", harmless).is_ok(), "{harmless:?}");
    }
}

#[test]
fn what_the_engine_need_not_know_is_dropped_and_not_refused() {
    let [chrome, ..] = real();
    let other = "i=about\r\nu=not a uri\r\ne=a@b\r\np=1\r\nb=AS:none\r\nk=clear:x\r\nz=1\r\nr=1\r\nx=y\r\na=\r\na=:\r\na= x\r\n\
                 a=identity:abc\r\na=Candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\na=\u{200b}candidate:1\r\na=rtcp:9 \r\n";
    assert_eq!(with("t=0 0\r\n", &format!("t=0 0\r\n{other}")), check(&chrome));
    assert_eq!(read_by_engine(&check(&chrome).unwrap().sdp), (0, 1));
}

#[test]
fn the_origin_has_six_fields() {
    const ORIGIN: &str = "o=- 4611731400430051336 2 IN IP4 127.0.0.1";
    for other in [
        "o=-",
        "o=- 1 1 IN IP4",
        "o=- 1 1 IN IP4 0.0.0.0 x",
        "o=- 1 1 IN IP4 ",
        "o=- one 1 IN IP4 0.0.0.0",
        "o=- 1 -1 IN IP4 0.0.0.0",
        "o=- +1 1 IN IP4 0.0.0.0",
        "o=- 18446744073709551616 1 IN IP4 0.0.0.0",
        "o=- 1 1 OUT IP4 0.0.0.0",
        "o=- 1 1 IN IP5 0.0.0.0",
        "o=-\u{a0}x 1 1 IN IP4 0.0.0.0",
        "o= 1 1 IN IP4 0.0.0.0",
        "s=x",
        "o=- 1 1 IN IP4 0.0.0.0\r\no=- 2 1 IN IP4 0.0.0.0",
    ] {
        assert_eq!(with(ORIGIN, other), Err(Unfit::Origin), "{other}");
    }
    assert!(with(ORIGIN, "o=ana 1 18446744073709551615 IN IP6 ::").is_ok());
}

#[test]
fn credentials_and_setup_are_there_once_and_within_limits() {
    for (from, to) in [
        ("a=ice-ufrag:4ZcD\r\n", String::new()),
        ("a=ice-ufrag:4ZcD", "a=ice-ufrag:4Zc".into()),
        ("a=ice-ufrag:4ZcD", format!("a=ice-ufrag:{}", "x".repeat(257))),
        ("a=ice-ufrag:4ZcD", "a=ice-ufrag:4Z D".into()),
        ("a=ice-ufrag:4ZcD", "a=ice-ufrag:4ZcD\r\na=ice-ufrag:4ZcE".into()),
        ("a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZa", "a=ice-pwd:short".into()),
        ("a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZa\r\n", String::new()),
    ] {
        assert_eq!(with(from, &to), Err(Unfit::Credentials), "{to}");
    }
    assert_eq!(with("a=setup:actpass", "a=setup:holdconn"), Err(Unfit::Setup));
    assert_eq!(with("a=setup:actpass", "a=setup:active\r\na=setup:passive"), Err(Unfit::Setup));
    assert_eq!(with("v=0", "v=0\r\nv=1"), Err(Unfit::Origin));
    for malformed in ["v=1", "V=0", "v 0", "v=0\r\n\r\n", "v=0\u{b}", "v=0\u{85}"] {
        assert_eq!(with("v=0", malformed), Err(Unfit::Malformed), "{malformed}");
    }
}

proptest! {
    #[test]
    fn lines_in_any_mixture_pass_only_with_one_of_each(
        picked in prop::collection::vec((0usize..4, 0usize..24), 0..48),
        text in "\\PC{0,40}",
    ) {
        let real = real();
        let mut lines: Vec<&str> = vec!["v=0", "o=- 1 1 IN IP4 0.0.0.0"];
        lines.extend(picked.iter().filter_map(|(which, line)| real[*which].lines().nth(*line)));
        lines.push(&text);
        if let Ok(described) = check(&lines.join("\r\n")) {
            let count = |prefix: &str| described.sdp.lines().filter(|line| line.starts_with(prefix)).count();
            prop_assert_eq!((count("m="), count("a=candidate:")), (1, 0));
            prop_assert!(count("a=fingerprint:") == 1 && described.candidates.len() <= LINES_MAX);
        }
    }
}
