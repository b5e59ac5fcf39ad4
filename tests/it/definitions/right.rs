//! Right definitions, one feature each.

/// What each begins with. Its handlers leave no column without a value.
pub(crate) const HEAD: &str = r#"
source = "shop"

[tables.orders]
key = ["order_id"]
indexes = [["customer_id"]]
columns.order_id    = "text"
columns.customer_id = "text"
columns.status      = { type = "text", required = true }
columns.total       = { type = "decimal(2)", default = 0 }
columns.placed_at   = "timestamp"
columns.detail      = "json"

[tables.lines]
key = ["order_id", "line"]
columns.order_id = "text"
columns.line     = "integer"
columns.sku      = "text"

[tables.customers]
key = ["customer_id"]
columns.customer_id = "text"
columns.name        = "text"

[[on]]
event = "OrderPlaced"
upsert = "orders"
key.order_id = ".data.order_id"
set = '.data | {customer_id, status: "placed", total, placed_at, detail}'

[[on]]
event = "OrderPlaced"
for_each = ".data.items"
upsert = "lines"
key.order_id = ".data.order_id"
key.line = "$index + 1"
set.sku = "$item.sku"

[[on]]
event = "CustomerRegistered"
upsert = "customers"
key.customer_id = ".data.customer_id"
set.name = ".data.name"

"#;

pub(crate) const ALL: [(&str, &str); 48] = [
    ("nothing more", ""),
    (
        "a list of types",
        "[[on]]\nevent = ['OrderPaid', 'OrderShipped']\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.status = '.type'\n",
    ),
    (
        "a pattern of types",
        "[[on]]\nevent = 'order.*'\ndelete = 'orders'\nkey.order_id = '.data.id'\n",
    ),
    (
        "every type",
        "[[on]]\nevent = '*'\nupdate = 'orders'\nkey.order_id = '.data.id'\nadd.total = 1\n",
    ),
    (
        "when",
        "[[on]]\nevent = 'OrderPaid'\nwhen = '.data.total > 0'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.status = '\"paid\"'\n",
    ),
    (
        "when by the row",
        "[[on]]\nevent = 'OrderPaid'\nwhen = '$row.status != \"cancelled\"'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.status = '\"paid\"'\n",
    ),
    (
        "when by the item",
        "[[on]]\nevent = 'OrderPacked'\nfor_each = '.data.items'\nwhen = '$item.packed'\nupdate = 'lines'\nkey = { order_id = '.data.id', line = '$index + 1' }\nset.sku = '$item.sku'\n",
    ),
    (
        "for_each over a list that is made",
        "[[on]]\nevent = 'OrderPacked'\nfor_each = '[.data.items[] | select(.packed)]'\ndelete = 'lines'\nkey = { order_id = '.data.id', line = '$item.line' }\n",
    ),
    (
        "for_each with nothing by default",
        "[[on]]\nevent = 'OrderPacked'\nfor_each = '.data.items // []'\ndelete = 'lines'\nkey = { order_id = '.data.id', line = '$item.line' }\n",
    ),
    (
        "for_each that counts",
        "[[on]]\nevent = 'OrderPacked'\nfor_each = '.data.items'\nupdate = 'orders'\nkey.order_id = '.data.id'\nadd.total = 1\n",
    ),
    (
        "let",
        "[[on]]\nevent = 'OrderPaid'\nlet.paid = '.data.amounts | add'\nupdate = 'orders'\nkey.order_id = '.data.id'\nwhen = '$paid > 0'\nadd.total = '$paid'\n",
    ),
    (
        "let over let",
        "[[on]]\nevent = 'OrderPaid'\nlet.all = '.data.amounts'\nlet.paid = '$all | add'\nupdate = 'orders'\nkey.order_id = '.data.id'\nadd.total = '$paid'\n",
    ),
    (
        "let of the item",
        "[[on]]\nevent = 'OrderPacked'\nfor_each = '.data.items'\nlet.line = '$item.line'\ndelete = 'lines'\nkey = { order_id = '.data.id', line = '$line' }\n",
    ),
    (
        "let of the row",
        "[[on]]\nevent = 'OrderPaid'\nlet.before = '$row.total'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.total = '$before + .data.amount'\n",
    ),
    (
        "let as a constant",
        "[[on]]\nevent = 'OrderPaid'\nlet.most = 100\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.total = '[.data.total, $most] | min'\n",
    ),
    (
        "let in for_each",
        "[[on]]\nevent = 'OrderPacked'\nlet.packed = '.data.items'\nfor_each = '$packed'\ndelete = 'lines'\nkey = { order_id = '.data.id', line = '$item.line' }\n",
    ),
    (
        "the part of a message",
        "[[on]]\nevent = 'OrderSplit'\nupsert = 'lines'\nkey = { order_id = '.data.id', line = '$part' }\nset.sku = '.data.sku'\n",
    ),
    (
        "where",
        "[[on]]\nevent = 'CustomerLeft'\nupdate = 'orders'\nwhere.customer_id = '.data.customer_id'\nset.status = '\"left\"'\n",
    ),
    (
        "where with a delete",
        "[[on]]\nevent = 'CustomerLeft'\ndelete = 'orders'\nwhere.customer_id = '.data.customer_id'\nwhere.status = '\"placed\"'\n",
    ),
    (
        "where by the first column of the key",
        "[[on]]\nevent = 'OrderLeft'\ndelete = 'lines'\nwhere.order_id = '.data.id'\n",
    ),
    (
        "where filtered by the row",
        "[[on]]\nevent = 'CustomerLeft'\ndelete = 'orders'\nwhere.customer_id = '.data.customer_id'\nwhen = '$row.total == 0'\n",
    ),
    (
        "insert",
        "[[on]]\nevent = 'OrderSeen'\ninsert = 'orders'\nkey.order_id = '.data.id'\nset.status = '\"seen\"'\n",
    ),
    (
        "set_once",
        "[[on]]\nevent = 'OrderSeen'\nupsert = 'orders'\nkey.order_id = '.data.id'\nset_once.status = '\"seen\"'\nset.detail = '.data'\n",
    ),
    (
        "set_once beside an object",
        "[[on]]\nevent = 'OrderSeen'\nupsert = 'orders'\nkey.order_id = '.data.id'\nset_once.status = '\"seen\"'\nset = '{detail: .data}'\nadd.total = 1\n",
    ),
    (
        "add, sub, min and max",
        "[tables.sums]\nkey = ['id']\ncolumns = { id = 'integer', n = 'integer', low = 'text', high = 'date', less = 'real' }\n[[on]]\nevent = '*'\nupsert = 'sums'\nkey.id = 1\nadd.n = '.data.late'\nmin.low = '.type'\nmax.high = '.time'\nsub.less = 0.5\n",
    ),
    (
        "a table of one row",
        "[tables.last]\nkey = ['id']\ncolumns = { id = 'integer', at = 'timestamp' }\n[[on]]\nevent = '*'\nupsert = 'last'\nkey.id = 1\nset.at = '.time'\n",
    ),
    (
        "null for a column that may be",
        "[[on]]\nevent = 'OrderHidden'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.detail = 'null'\n",
    ),
    (
        "a lookup of what cannot come late",
        "[[on]]\nevent = 'OrderNamed'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.detail = 'lookup(\"orders\"; .data.other).detail'\n",
    ),
    (
        "a lookup beside a late update",
        "[[on]]\nevent = 'OrderNamed'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.detail = 'lookup(\"customers\"; .data.customer_id).name'\n[[on]]\nevent = 'CustomerRegistered'\nupdate = 'orders'\nwhere.customer_id = '.data.customer_id'\nset.detail = '.data.name'\n",
    ),
    (
        "a lookup in a condition",
        "[[on]]\nevent = 'OrderPaid'\nupdate = 'orders'\nwhen = 'lookup(\"customers\"; .data.customer_id) != null'\nkey.order_id = '.data.id'\nset.status = '\"paid\"'\n",
    ),
    (
        "a delete, then a new row",
        "[[on]]\nevent = 'OrderReplaced'\ndelete = 'orders'\nkey.order_id = '.data.id'\n[[on]]\nevent = 'OrderReplaced'\ninsert = 'orders'\nkey.order_id = '.data.id'\nset.status = '\"new\"'\n[[on]]\nevent = 'OrderReplaced'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.total = '.data.total'\n",
    ),
    (
        "a set that is read before it is set again",
        "[[on]]\nevent = 'OrderPaid'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.total = '.data.total'\n[[on]]\nevent = 'OrderPaid'\nupdate = 'orders'\nkey.order_id = '.data.id'\nset.total = '$row.total * 2'\n",
    ),
    (
        "a view",
        "[views.open_orders]\nsql = \"SELECT order_id, total FROM orders WHERE status = 'placed'\"\n",
    ),
    (
        "a view with key and types",
        "[views.due]\nsql = 'SELECT order_id, total - 5 AS due FROM orders;'\nkey = ['order_id']\ncolumns.due = 'decimal(2)'\n",
    ),
    (
        "a view over a view",
        "[views.open]\nsql = 'SELECT * FROM orders'\n[views.few]\nsql = 'SELECT order_id FROM open LIMIT 3'\n",
    ),
    (
        "a view that joins",
        "[views.names]\nsql = '''\nSELECT o.order_id, c.name -- who\nFROM orders o LEFT JOIN customers c USING (customer_id)\n'''\n",
    ),
    (
        "a view with WITH and windows",
        "[views.ranked]\nsql = 'WITH o AS (SELECT * FROM orders) SELECT order_id, rank() OVER (ORDER BY total) AS place, count(*) OVER () AS n FROM o'\ncolumns = { place = 'integer', n = 'integer' }\n",
    ),
    (
        "a view over JSON",
        "[views.tags]\nsql = \"SELECT order_id, tag.value AS tag FROM orders, json_each(orders.detail, '$.tags') AS tag\"\ncolumns.tag = 'text'\n",
    ),
    (
        "a view by day",
        "[views.days]\nsql = \"SELECT date(placed_at, 'start of month') AS month, sum(total) AS total FROM orders GROUP BY 1\"\ncolumns = { month = 'date', total = 'decimal(2)' }\n",
    ),
    (
        "a view of two SELECTs",
        "[views.names]\nsql = 'SELECT name FROM customers UNION SELECT 1'\ncolumns.name = 'text'\n",
    ),
    (
        "a view of two SELECTs, each of a table's own columns",
        "[views.ids]\nsql = 'WITH o AS (SELECT 1) SELECT order_id AS id FROM orders UNION ALL SELECT order_id FROM lines ORDER BY 1'\n",
    ),
    (
        "a test",
        "[[test]]\nname = 'placed'\ngiven = '''\n{\"type\":\"OrderPlaced\",\"data\":{\"order_id\":\"1\",\"total\":12.5}}\n\n'''\nexpect.orders = '''\n{\"order_id\":\"1\",\"status\":\"placed\",\"total\":12.5,\"detail\":null}\n'''\nexpect.lines = ''\n",
    ),
    (
        "a test with all members",
        "[[test]]\nname = 'all'\ngiven = '{\"type\":\"T\",\"id\":\"i\",\"time\":\"2013-01-01T00:00:00Z\",\"subject\":\"a.b\",\"sequence\":7,\"stored_at\":\"2013-01-01T00:00:00Z\",\"headers\":{\"a\":\"b\"},\"attributes\":{},\"data\":[]}'\nexpect.orders = ''\n",
    ),
    (
        "a test of an error",
        "[[test]]\nname = 'wrong'\ngiven = '{\"type\":\"OrderPlaced\",\"data\":{\"order_id\":1}}'\nexpect_error = 'expected a string'\n",
    ),
    (
        "a test of a view",
        "[views.due]\nsql = 'SELECT order_id, total - 5 AS due FROM orders'\ncolumns.due = 'decimal(2)'\n[[test]]\nname = 'due'\ngiven = ''\nexpect.due = '{\"due\":1.25}'\n",
    ),
    (
        "a policy",
        "[policy]\non_error = 'skip'\ndead_letters_max = 0\non_gap = 'halt'\non_source_change = 'halt'\nfreshness = '500ms'\n",
    ),
    (
        "a policy that goes on past a gap, and one that builds again",
        "[policy]\non_gap = 'continue'\non_source_change = 'rebuild'\n",
    ),
    ("a policy that builds again after a gap", "[policy]\non_gap = 'rebuild'\n"),
];
