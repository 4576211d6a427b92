//! Room names that can be said on the telephone.

const WORDS: [&str; 128] = [
    "amber", "anchor", "apple", "april", "arrow", "autumn", "badge", "banjo", "barley", "basket", "beacon",
    "bell", "birch", "bloom", "bridge", "bronze", "cabin", "cactus", "candle", "canyon", "cedar", "cherry",
    "chess", "cider", "circle", "clay", "cloud", "clover", "cobalt", "comet", "copper", "coral", "cotton",
    "crane", "cricket", "crystal", "daisy", "delta", "desert", "dolphin", "dune", "eagle", "echo", "ember",
    "falcon", "fern", "fiddle", "finch", "flint", "forest", "fossil", "garden", "garnet", "ginger",
    "glacier", "grape", "hammer", "harbor", "hazel", "heron", "honey", "island", "ivory", "jasmine",
    "juniper", "kettle", "kite", "ladder", "lagoon", "lantern", "lemon", "lilac", "linen", "lotus", "magnet",
    "mango", "maple", "marble", "meadow", "melon", "mint", "mirror", "moss", "nectar", "nickel", "nutmeg",
    "oasis", "ocean", "olive", "onyx", "orbit", "orchid", "otter", "paper", "pebble", "pepper", "piano",
    "pine", "planet", "plum", "pocket", "pollen", "prairie", "quartz", "quill", "rabbit", "raven", "ribbon",
    "river", "robin", "saddle", "saffron", "salmon", "shadow", "silver", "sparrow", "spruce", "summit",
    "thistle", "timber", "tulip", "valley", "velvet", "violin", "walnut", "willow", "winter", "zephyr",
];

/// Three words, two million possibilities: not a secret, but nobody meets strangers by chance.
pub(super) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.map(|byte| WORDS[usize::from(byte) % WORDS.len()]).join("-"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_words_are_alike() {
        assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), WORDS.len());
        assert!(WORDS.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    #[test]
    fn names_are_three_words_and_differ() {
        let names: HashSet<String> = (0..20).map(|_| random().unwrap()).collect();
        assert!(names.iter().all(|name| name.split('-').count() == 3));
        assert!(names.len() > 10, "{names:?}");
    }
}
