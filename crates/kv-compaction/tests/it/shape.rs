//! The drawing of a tree for people.

use expect_test::expect;
use kv_compaction::{TableMeta, Version, shape_text};

use crate::drawing::tree;

#[test]
fn shapes_are_drawn_line_by_line() {
    expect![[r#"
        L0      0 tables          0 B
    "#]]
    .assert_eq(&shape_text(&Version::<TableMeta>::new()));
    expect![[r#"
        L0      2 tables     13.0 MiB  ####
        L1      2 tables    128.0 MiB  ########################################
        L2      0 tables          0 B
        L3      1 table       1.5 KiB  #
    "#]]
    .assert_eq(&shape_text(&tree(
        "L0 9:a-m:12582912 8:c-z:1048576\n L1 5:a-f:67108864 6:g-z:67108864\n L3 1:a-z:1500",
    )));
}
