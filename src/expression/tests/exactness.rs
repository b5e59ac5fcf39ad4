//! Arithmetic against an oracle of unbounded decimals.

use std::str::FromStr;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};
use proptest::prelude::*;

use super::*;

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,12})(\\.[0-9]{1,6})?",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]",
        "-?[1-9][0-9]{0,30}0{0,12}",
        Just("9223372036854775807".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("0.00".to_owned()),
    ]
}

fn oracle(text: &str) -> BigDecimal {
    BigDecimal::from_str(text).unwrap()
}

/// What we gave is the exact value, or that has more than 38 digits, zeros at its end included.
fn agrees(given: &str, exact: &BigDecimal) -> bool {
    if given.starts_with("error: ") {
        return exact.digits() > 37 && given.ends_with("the result has more than 38 digits");
    }
    oracle(given) == *exact
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn sums_differences_products(a in decimal(), b in decimal()) {
        let event = event(&format!("{{\"data\":{{\"a\":{a},\"b\":{b}}}}}"));
        let (x, y) = (oracle(&a), oracle(&b));
        let check = |text: &str, exact: BigDecimal| {
            let given = given(text, &event);
            prop_assert!(agrees(&given, &exact), "{text} of {a} and {b} gives {given}, exactly {exact}");
            Ok(())
        };
        check(".data.a + .data.b", &x + &y)?;
        check(".data.a - .data.b", &x - &y)?;
        check(".data.a * .data.b", &x * &y)?;
        check("[.data.a, .data.b] | add", &x + &y)?;
        check("-.data.a", -&x)?;
        if y.sign() != Sign::NoSign {
            // A dividend may need more digits than it has, to be aligned.
            let given = given(".data.a % .data.b", &event);
            let exact = &x % &y;
            let refused = given.ends_with("the result has more than 38 digits");
            prop_assert!(refused || oracle(&given) == exact, "{a} % {b} gives {given}, exactly {exact}");
        }
    }

    #[test]
    fn comparisons(a in decimal(), b in decimal()) {
        let event = event(&format!("{{\"data\":{{\"a\":{a},\"b\":{b}}}}}"));
        let (x, y) = (oracle(&a), oracle(&b));
        prop_assert_eq!(given(".data.a < .data.b", &event), (x < y).to_string());
        prop_assert_eq!(given(".data.a == .data.b", &event), (x == y).to_string());
        prop_assert_eq!(given("[.data.a, .data.b] | unique | length", &event), if x == y { "1" } else { "2" });
        let least = if x <= y { &x } else { &y };
        prop_assert_eq!(&oracle(&given("[.data.a, .data.b] | min", &event)), least);
        prop_assert_eq!(&oracle(&given("[.data.a, .data.b] | sort | first", &event)), least);
    }

    #[test]
    fn rounding(a in decimal(), digits in -3..6_i64) {
        let event = event_of(&a);
        let x = oracle(&a);
        let check = |text: &str, digits: i64, mode: RoundingMode| {
            let given = given(text, &event);
            let exact = x.with_scale_round(digits, mode);
            prop_assert!(agrees(&given, &exact), "{text} of {a} gives {given}, exactly {exact}");
            Ok(())
        };
        check(&format!(".data.x | round({digits})"), digits, RoundingMode::HalfUp)?;
        check(".data.x | round", 0, RoundingMode::HalfUp)?;
        check(".data.x | floor", 0, RoundingMode::Floor)?;
        check(".data.x | ceil", 0, RoundingMode::Ceiling)?;
        check(".data.x | trunc", 0, RoundingMode::Down)?;
    }

    /// Numbers of any length and exponent are compared by value.
    #[test]
    fn comparisons_past_the_range(
        a in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?",
        b in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?",
    ) {
        let event = event(&format!("{{\"data\":{{\"a\":{a},\"b\":{b}}}}}"));
        // The oracle aligns digits to compare: as many as the exponents differ by, so both are kept small.
        prop_assert_eq!(given(".data.a < .data.b", &event), (oracle(&a) < oracle(&b)).to_string());
        prop_assert_eq!(given(".data.a == .data.b", &event), (oracle(&a) == oracle(&b)).to_string());
    }

    /// A float is the nearest one, as the standard library reads it, and shows in its shortest form.
    #[test]
    fn floats(a in decimal(), b in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
        let event = event(&format!("{{\"data\":{{\"a\":{a},\"b\":{b:e}}}}}"));
        let quotient = a.parse::<f64>().unwrap() / 3.0;
        let shown: f64 = given(".data.a / 3", &event).parse().unwrap();
        prop_assert_eq!(shown, quotient);
        let shown: f64 = given(".data.b / 1", &event).parse().unwrap();
        prop_assert_eq!(shown, b);
    }
}
