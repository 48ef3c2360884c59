//! Names made up from `generateName`. Pure, but for chance.

use rand::Rng;

/// Without vowels and look-alikes, so that no word comes out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The longest prefix, so that five characters fit behind it into a label.
const LONGEST_PREFIX: usize = 58;

/// A name from a prefix: five characters of chance behind it.
pub fn generate(prefix: &str) -> String {
    let mut rng = rand::rng();
    let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
    let suffix = (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix.chars().chain(suffix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate(&"a".repeat(80));
        assert_eq!(name.len(), 63);
        assert_ne!(generate("web-"), generate("web-"));
    }
}
