//! Tokens of a label selector.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Identifier(String),
    /// `=`, `==`, `!=`, `>`, `<`, `!`, `,`, `(`, `)`
    Symbol(&'static str),
    /// Symbols that stand together but mean nothing, such as `=!`.
    Unknown(String),
    End,
}

impl Token {
    /// As it is named in an error.
    pub fn text(&self) -> &str {
        match self {
            Self::Identifier(text) | Self::Unknown(text) => text,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }

    pub fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(own) if *own == symbol)
    }
}

const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ">", "<", ",", "(", ")"];

fn is_special(c: char) -> bool {
    "=!(),><".contains(c)
}

/// All tokens, with [`Token::End`] as the last.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_special(first) {
            let (token, length) = symbol(rest);
            tokens.push(token);
            length
        } else {
            let ends = |c: char| is_special(c) || c.is_whitespace();
            let length = rest.find(ends).unwrap_or(rest.len());
            tokens.push(Token::Identifier(rest[..length].to_owned()));
            length
        };
        rest = rest[length..].trim_start();
    }
    tokens.push(Token::End);
    tokens
}

/// The longest symbol that the text begins with.
fn symbol(text: &str) -> (Token, usize) {
    match SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        Some(symbol) => (Token::Symbol(symbol), symbol.len()),
        None => (Token::Unknown(text.to_owned()), text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_as_long_as_they_can_be() {
        let tokens: Vec<_> =
            tokens(" a==b, !c  d in (x,y)").iter().map(|token| token.text().to_owned()).collect();
        assert_eq!(tokens, ["a", "==", "b", ",", "!", "c", "d", "in", "(", "x", ",", "y", ")", ""]);
    }
}
