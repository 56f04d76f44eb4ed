//! Reads update expressions, and the older `AttributeUpdates`.

use aws_sdk_dynamodb::types::AttributeValue;

use super::token::{Token, Tokens};
use super::{Action, ExpressionError, Operand, Path, Placeholders, Step, Update};

/// The deepest nesting of functions: more than any item has levels.
const MAX_DEPTH: usize = 32;
const CLAUSES: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

impl Update {
    /// Reads an update expression.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] that says where the text is no update expression.
    pub fn parse(text: &str, placeholders: &Placeholders) -> Result<Update, ExpressionError> {
        let mut parser = Parser { tokens: Tokens::of(text), placeholders };
        let mut update = Update::default();
        let mut seen = Vec::new();
        while !parser.tokens.is_at_end() {
            let clause = parser.clause()?;
            if seen.contains(&clause) {
                return Err(ExpressionError::Repeated(clause));
            }
            seen.push(clause);
            loop {
                update.actions.push(parser.action(clause)?);
                if !parser.passes(',') {
                    break;
                }
            }
        }
        if update.actions.is_empty() {
            return Err(parser.tokens.expected("SET, REMOVE, ADD or DELETE"));
        }
        Ok(update)
    }
}

struct Parser<'text> {
    tokens: Tokens<'text>,
    placeholders: &'text Placeholders,
}

impl Parser<'_> {
    fn passes(&mut self, sign: char) -> bool {
        let is_next = self.tokens.peek() == Some(Token::Sign(sign));
        if is_next {
            self.tokens.next();
        }
        is_next
    }

    fn expect(&mut self, sign: char, expected: &'static str) -> Result<(), ExpressionError> {
        if self.passes(sign) { Ok(()) } else { Err(self.tokens.expected(expected)) }
    }

    fn clause(&mut self) -> Result<&'static str, ExpressionError> {
        let word = match self.tokens.peek() {
            Some(Token::Word(word)) => CLAUSES.into_iter().find(|clause| clause.eq_ignore_ascii_case(word)),
            _ => None,
        };
        let clause = word.ok_or_else(|| self.tokens.expected("SET, REMOVE, ADD or DELETE"))?;
        self.tokens.next();
        Ok(clause)
    }

    fn action(&mut self, clause: &str) -> Result<Action, ExpressionError> {
        let path = self.path()?;
        match clause {
            "SET" => {
                self.expect('=', "=")?;
                let operand = self.sum()?;
                Ok(Action::Set(path, operand))
            }
            "REMOVE" => Ok(Action::Remove(path)),
            "ADD" => Ok(Action::Add(path, self.value()?)),
            _ => Ok(Action::Delete(path, self.value()?)),
        }
    }

    /// An operand, or two with a sign between them.
    fn sum(&mut self) -> Result<Operand, ExpressionError> {
        let left = self.operand(0)?;
        if self.passes('+') {
            return Ok(Operand::Plus(Box::new(left), Box::new(self.operand(0)?)));
        }
        if self.passes('-') {
            return Ok(Operand::Minus(Box::new(left), Box::new(self.operand(0)?)));
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, ExpressionError> {
        if depth > MAX_DEPTH {
            return Err(self.tokens.expected("less nesting"));
        }
        match self.tokens.peek() {
            Some(Token::Value(_)) => self.value().map(Operand::Value),
            Some(Token::Word("if_not_exists")) => {
                self.tokens.next();
                self.expect('(', "(")?;
                let path = self.path()?;
                self.expect(',', ",")?;
                let otherwise = self.operand(depth + 1)?;
                self.expect(')', ")")?;
                Ok(Operand::IfNotExists(path, Box::new(otherwise)))
            }
            Some(Token::Word("list_append")) => {
                self.tokens.next();
                self.expect('(', "(")?;
                let first = self.operand(depth + 1)?;
                self.expect(',', ",")?;
                let second = self.operand(depth + 1)?;
                self.expect(')', ")")?;
                Ok(Operand::ListAppend(Box::new(first), Box::new(second)))
            }
            _ => self.path().map(Operand::Path),
        }
    }

    fn value(&mut self) -> Result<AttributeValue, ExpressionError> {
        let Some(Token::Value(name)) = self.tokens.peek() else {
            return Err(self.tokens.expected("a value such as :v"));
        };
        let value = self.placeholders.values.get(name).cloned();
        self.tokens.next();
        value.ok_or_else(|| ExpressionError::Placeholder(name.to_owned()))
    }

    fn path(&mut self) -> Result<Path, ExpressionError> {
        let mut path = Path { attribute: self.name()?, steps: Vec::new() };
        loop {
            if self.passes('.') {
                path.steps.push(Step::Name(self.name()?));
            } else if self.passes('[') {
                let index = match self.tokens.next() {
                    Some(Token::Index(digits)) => digits.parse().ok(),
                    _ => None,
                };
                path.steps.push(Step::Index(index.ok_or_else(|| self.tokens.expected("an index"))?));
                self.expect(']', "]")?;
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        match self.tokens.peek() {
            Some(Token::Word(word)) => {
                self.tokens.next();
                Ok(word.to_owned())
            }
            Some(Token::Name(name)) => {
                self.tokens.next();
                let known = self.placeholders.names.get(name).cloned();
                known.ok_or_else(|| ExpressionError::Placeholder(name.to_owned()))
            }
            _ => Err(self.tokens.expected("an attribute's name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Form;
    use serde_json::{Value, json};

    fn placeholders() -> Placeholders {
        let values = json!({ ":n": 10, ":l": [1], ":s": { "$SS": ["x"] }, ":t": "t" });
        Placeholders {
            names: [("#a", "number"), ("#b", "a.b")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            values: Form::Plain.read_item(values.as_object().unwrap()).unwrap(),
        }
    }

    fn applied(expression: &str, before: &Value) -> Result<Value, String> {
        let before = Form::Plain.read_item(before.as_object().unwrap()).unwrap();
        let update = Update::parse(expression, &placeholders()).map_err(|error| error.to_string())?;
        update.apply(&before).map(|after| Form::Plain.write_item(&after)).map_err(|error| error.to_string())
    }

    #[test]
    fn clauses_do_what_they_say() {
        let before = json!({ "number": 5, "list": [1, 2, 3], "map": { "x": 1 }, "set": { "$SS": ["x", "y"] } });
        for (expression, name, after) in [
            ("SET #a = :n", "number", json!(10)),
            ("set number = number - :n", "number", json!(-5)),
            ("SET new = if_not_exists(new, :n) + number", "new", json!(15)),
            ("SET list = list_append(list, :l)", "list", json!([1, 2, 3, 1])),
            ("SET list[9] = :n, list[0]=number", "list", json!([5, 2, 3, 10])),
            ("REMOVE list[0], list[2] SET number = :n", "list", json!([2])),
            ("SET map.#b = map.x", "map", json!({ "a.b": 1, "x": 1 })),
            ("ADD number :n", "number", json!(15)),
            ("ADD set :s", "set", json!({ "$SS": ["x", "y"] })),
            ("DELETE set :s", "set", json!({ "$SS": ["y"] })),
        ] {
            assert_eq!(applied(expression, &before).unwrap()[name], after, "{expression}");
        }
        assert!(applied("DELETE set :s", &json!({ "set": { "$SS": ["x"] } })).unwrap().get("set").is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let before = json!({ "number": 5, "text": "t" });
        for (expression, said) in [
            ("", "expected SET, REMOVE, ADD or DELETE at `the end`"),
            ("SET number", "expected = at `the end`"),
            ("SET number = :m", "`:m` is not in"),
            ("SET #c = :n", "`#c` is not in"),
            ("SET number = :n SET text = :t", "`SET` stands twice"),
            ("SET number = :n, number = :t", "`number` and `number` overlap"),
            ("SET m = :n, m.x = :t", "`m` and `m.x` overlap"),
            ("SET m.x = :n", "`m.x` is not in the item"),
            ("SET number = missing", "`missing` is not in the item"),
            ("SET number = text + :n", "`+` takes numbers"),
            ("ADD text :n", "`ADD` takes a number"),
            ("SET number = :n; DROP", "expected SET, REMOVE, ADD or DELETE at `; DROP`"),
            ("SET list[x] = :n", "expected an index"),
        ] {
            let error = applied(expression, &before).unwrap_err();
            assert!(error.starts_with(said), "{expression}: {error}");
        }
        let long = json!({ "number": "9".repeat(38).parse::<serde_json::Number>().unwrap() });
        assert_eq!(applied("SET number = number + :n", &long).unwrap_err(), ExpressionError::Digits.to_string());
    }

    #[test]
    fn parentheses_and_placeholders_are_found() {
        use crate::expression::{is_balanced, placeholders};
        assert!(is_balanced("(a = :b) AND size(c) > :d"));
        assert!(!is_balanced("a = :b) OR (a = :c"));
        assert!(!is_balanced("(a"));
        let found: Vec<_> = placeholders("#a.#b_1=:v1 AND contains(x,:w)").into_iter().collect();
        assert_eq!(found, ["#a", "#b_1", ":v1", ":w"]);
    }
}
