//! What the gate lets through, shown on examples and on arbitrary text fed to a terminal's parser.

use proptest::prelude::*;

use super::*;

/// Counts what a terminal would do other than print and go to the next line.
#[derive(Default)]
struct Acts(Vec<String>);

impl vte::Perform for Acts {
    fn print(&mut self, c: char) {
        if c.is_control() {
            self.0.push(format!("print {c:?}"));
        }
    }
    fn execute(&mut self, byte: u8) {
        if byte != b'\n' {
            self.0.push(format!("execute {byte:#x}"));
        }
    }
    fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, c: char) {
        self.0.push(format!("hook {c:?}"));
    }
    fn put(&mut self, byte: u8) {
        self.0.push(format!("put {byte:#x}"));
    }
    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.0.push("osc".into());
    }
    fn csi_dispatch(&mut self, _: &vte::Params, _: &[u8], _: bool, c: char) {
        self.0.push(format!("csi {c:?}"));
    }
    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        self.0.push(format!("esc {byte:#x}"));
    }
}

fn acts(bytes: &[u8]) -> Vec<String> {
    let mut acts = Acts::default();
    vte::Parser::new().advance(&mut acts, bytes);
    acts.0
}

/// Text made of the characters that attacks are made of, beside ordinary ones.
fn hostile() -> impl Strategy<Value = String> {
    let special = prop::sample::select(
        "\u{1b}\u{9b}\u{9d}\u{7f}\r\n\t\u{7}\u{202e}\u{2066}\u{200b}\u{200c}\u{200d}\u{fe0f}\u{fe00}\u{ad}\
         \u{feff}\u{e0041}\u{e007f}\u{e0101}\u{34f}\u{301}\u{20dd}\u{903}\u{1160}\u{1161}\u{1100}\u{11a8}\u{3164}\
         \u{2028}\u{ffff}\u{ff9e}[];31maé漢❤👩🏽🇩🇪#"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![4 => special, 1 => any::<char>()], 0..64)
        .prop_map(|chars| chars.into_iter().collect())
}

#[test]
fn the_terminal_parser_of_these_tests_notices_an_escape() {
    assert_eq!(acts(b"a\x1b[31mb"), ["csi 'm'"]);
    assert_eq!(acts(b"\r"), ["execute 0xd"]);
}

#[test]
fn what_acts_on_a_terminal_becomes_a_visible_mark() {
    assert_eq!(SafeText::message("\u{1b}[31mred\u{7}").as_str(), "␛[31mred␇");
    assert_eq!(SafeText::message("\u{9b}31m\u{7f}").as_str(), "⟨U+009B⟩31m␡");
    assert_eq!(SafeText::message("pay\u{200b}pal").as_str(), "pay⟨U+200B⟩pal");
    assert_eq!(SafeText::message("ad\u{ad}min").as_str(), "ad⟨U+00AD⟩min");
    assert_eq!(SafeText::message("\u{202e}gpj.exe\u{202c}").as_str(), "⟨RLO⟩gpj.exe⟨PDF⟩");
    assert_eq!(SafeText::message("x\u{e0041}\u{e0042}\u{e007f}y").as_str(), "x⟨tags⟩y");
    assert_eq!(SafeText::message("a\u{fe0f}b\u{fe00}").as_str(), "a⟨U+FE0F⟩b⟨U+FE00⟩");
    assert_eq!(SafeText::message("a\u{200d}b").as_str(), "a⟨U+200D⟩b");
    assert_eq!(SafeText::message("\u{3164}\u{2800}").as_str(), "⟨U+3164⟩⟨U+2800⟩");
}

#[test]
fn line_breaks_and_tabs_are_kept_in_messages_and_marked_in_names() {
    assert_eq!(SafeText::message("a\r\nb\nc\rd\te").as_str(), "a\nb\nc␍d e");
    assert_eq!(SafeText::line("a\r\nb\tc").as_str(), "a␍␊b␉c");
}

#[test]
fn marks_on_one_character_are_limited() {
    let zalgo = format!("e{}x", "\u{301}".repeat(30));
    assert_eq!(SafeText::message(&zalgo).as_str(), format!("e{}⟨+26⟩x", "\u{301}".repeat(4)));
    assert_eq!(SafeText::message("e\u{301}").as_str(), "e\u{301}");
    assert_eq!(SafeText::line("\u{301}x").as_str(), "◌\u{301}x", "a mark does not reach out of its text");
}

#[test]
fn emoji_sequences_and_scripts_pass_unchanged() {
    for text in [
        "👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "👩🏽\u{200d}🚀",
        "❤\u{fe0f}\u{200d}🔥",
        "🏳\u{fe0f}\u{200d}🌈",
        "🇩🇪",
        "1\u{fe0f}\u{20e3}",
        "日本語",
        "한국어",
        "\u{1112}\u{1161}\u{11ab}",
        "שלום",
        "हिन्दी",
        "ﾊﾟ",
        "Łódź",
    ] {
        assert_eq!(SafeText::message(text).as_str(), text);
    }
}

proptest! {
    #[test]
    fn a_terminal_only_prints_what_passed(text in hostile()) {
        let message = SafeText::message(&text);
        prop_assert_eq!(acts(message.as_str().as_bytes()), Vec::<String>::new());
        let line = SafeText::line(&text);
        prop_assert_eq!(acts(line.as_str().as_bytes()), Vec::<String>::new());
        prop_assert!(!line.as_str().contains('\n'));
    }

    #[test]
    fn what_passed_passes_unchanged(text in hostile()) {
        let once = SafeText::message(&text);
        prop_assert_eq!(&SafeText::message(once.as_str()), &once);
    }

    #[test]
    fn nothing_that_passed_is_invisible(text in hostile()) {
        for grapheme in SafeText::message(&text).as_str().graphemes(true).filter(|part| *part != "\n") {
            prop_assert!(wrap::width(grapheme) > 0, "{:?}", grapheme);
        }
    }

    #[test]
    fn different_ascii_names_never_look_the_same(a in "[ -~]{0,8}", b in "[ -~]{0,8}") {
        prop_assert_eq!(a == b, SafeText::line(&a) == SafeText::line(&b));
    }
}
