//! Text of anybody through the gate: a terminal that parses it finds nothing to do but print.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcord::safe_text::SafeText;

struct OnlyPrints;

impl vte::Perform for OnlyPrints {
    fn execute(&mut self, byte: u8) {
        panic!("control {byte:#x}");
    }

    fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, action: char) {
        panic!("device control {action:?}");
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        panic!("operating system command");
    }

    fn csi_dispatch(&mut self, _: &vte::Params, _: &[u8], _: bool, action: char) {
        panic!("control sequence {action:?}");
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        panic!("escape {byte:#x}");
    }
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let line = SafeText::line(&text);
    only_prints(line.as_str());
    assert_eq!(SafeText::line(line.as_str()), line, "what is safe stays as it is");
    // A line feed ends a line of the message; each is drawn by itself.
    let message = SafeText::message(&text);
    message.as_str().split('\n').for_each(only_prints);
    assert_eq!(SafeText::message(message.as_str()), message, "what is safe stays as it is");
});

fn only_prints(text: &str) {
    let mut terminal = vte::Parser::new();
    terminal.advance(&mut OnlyPrints, text.as_bytes());
    // Nothing is left half said, for what comes after.
    terminal.advance(&mut OnlyPrints, b"x");
    assert!(!text.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')));
}
