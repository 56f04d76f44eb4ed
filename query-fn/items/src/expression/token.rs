//! The words of expressions.

use std::collections::BTreeSet;

use super::ExpressionError;

/// One word of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'text> {
    /// A name, a keyword or a function.
    Word(&'text str),
    /// `#name`
    Name(&'text str),
    /// `:name`
    Value(&'text str),
    /// Digits, as in `[0]`.
    Index(&'text str),
    /// One of `= + - , . ( ) [ ]`.
    Sign(char),
}

/// The words of an expression, one after the other.
pub(super) struct Tokens<'text> {
    rest: &'text str,
}

/// The most characters of an expression that an error repeats.
const SHOWN: usize = 40;

impl<'text> Tokens<'text> {
    pub(super) fn of(text: &'text str) -> Tokens<'text> {
        Tokens { rest: text.trim_start() }
    }

    /// Returns the next word without passing it; `None` at the end and before what is no word.
    pub(super) fn peek(&self) -> Option<Token<'text>> {
        self.split().map(|(token, _)| token)
    }

    /// Passes the next word.
    pub(super) fn next(&mut self) -> Option<Token<'text>> {
        let (token, rest) = self.split()?;
        self.rest = rest.trim_start();
        Some(token)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn expected(&self, expected: &'static str) -> ExpressionError {
        let found = if self.rest.is_empty() { "the end".to_owned() } else { self.rest.chars().take(SHOWN).collect() };
        ExpressionError::Syntax { expected, found }
    }

    fn split(&self) -> Option<(Token<'text>, &'text str)> {
        let first = self.rest.chars().next()?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let marked = usize::from(matches!(first, '#' | ':'));
        let end =
            self.rest.char_indices().skip(marked).find(|(_, c)| !is_part(*c)).map_or(self.rest.len(), |(end, _)| end);
        let (word, rest) = self.rest.split_at(end);
        let token = match first {
            '#' if word.len() > 1 => Token::Name(word),
            ':' if word.len() > 1 => Token::Value(word),
            '0'..='9' if word.bytes().all(|byte| byte.is_ascii_digit()) => Token::Index(word),
            c if is_part(c) => Token::Word(word),
            '=' | '+' | '-' | ',' | '.' | '(' | ')' | '[' | ']' => {
                let mut rest = self.rest.chars();
                rest.next();
                return Some((Token::Sign(first), rest.as_str()));
            }
            _ => return None,
        };
        Some((token, rest))
    }
}

/// Returns the placeholders in an expression of any kind, with their `#` or `:`.
#[must_use]
pub fn placeholders(expression: &str) -> BTreeSet<String> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let starts = expression.match_indices(['#', ':']);
    let words = starts.filter_map(|(start, _)| {
        let (mark, rest) = expression.get(start..)?.split_at_checked(1)?;
        let name = rest.split(is_end).next()?;
        (!name.is_empty()).then(|| format!("{mark}{name}"))
    });
    words.collect()
}

/// True if every parenthesis of an expression is closed, and none is closed before it was opened: the expression can then stand in parentheses
/// beside others. Expressions have no texts in which one could hide.
#[must_use]
pub fn is_balanced(expression: &str) -> bool {
    let mut open = 0_usize;
    for c in expression.chars() {
        match c {
            '(' => open += 1,
            ')' if open == 0 => return false,
            ')' => open -= 1,
            _ => {}
        }
    }
    open == 0
}
