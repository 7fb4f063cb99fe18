//! Sums of `INCRBYFLOAT` against exact arithmetic on decimals.

use proptest::prelude::*;

use super::driver::{Driver, START_MS};
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::resp::{OwnedArgs, Reply};

fn sum(first: &str, second: &str) -> Reply {
    let mut store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let mut driver = Driver {
        store: &mut store,
        server: &server,
        session: &mut session,
        now_ms: START_MS,
        seed: 1,
    };
    let commands = [["SET", "k", first], ["INCRBYFLOAT", "k", second]].map(OwnedArgs::of);
    let mut replies = driver.run(&commands).replies;
    replies.pop().unwrap().0
}

/// `units / 10^decimals` in decimal, without zeros at its end.
fn decimal(units: i128, decimals: usize) -> String {
    let digits = format!("{:0width$}", units.abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let text = format!("{whole}.{fraction}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{text}", if units < 0 { "-" } else { "" })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Numbers up to one are held to 19 decimals, so 17 print exactly.
    #[test]
    fn small_decimals_add_up_exactly(
        first in -1_000_000_000_000i64..1_000_000_000_000,
        second in -1_000_000_000_000i64..1_000_000_000_000,
        decimals in 12usize..=17,
    ) {
        let (first, second) = (i128::from(first), i128::from(second));
        let expected = decimal(first + second, decimals);
        let actual = sum(&decimal(first, decimals), &decimal(second, decimals));
        prop_assert_eq!(actual, Reply::bulk(expected));
    }

    /// Whole numbers of 64 bits need no rounding.
    #[test]
    fn whole_numbers_add_up_exactly(first: u32, second: u32, shift in 0u32..31) {
        let (first, second) = (u128::from(first) << shift, u128::from(second) << shift);
        let actual = sum(&first.to_string(), &second.to_string());
        prop_assert_eq!(actual, Reply::bulk((first + second).to_string()));
    }

    #[test]
    fn text_that_is_no_number_is_refused(text in "[-+.0-9]{0,6}[eE ]{0,2}[-+]{0,1}[0-9]{0,3}") {
        let is_number = text.parse::<f64>().is_ok();
        let is_error = sum("1", &text).is_error();
        prop_assert_eq!(is_error, !is_number, "{}", text);
    }
}
