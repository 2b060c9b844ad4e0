# The table of ci/bench, from the lines of bench.jsonl (jq -rs): one line for each row, its cells separated by tabs.
# A row is judged by a ratio, the median of the ratios of the rounds, when it names a peer ("to"), else by our own median.

def rows: [
  {n: 1, is: "always valid, 1 account: CPU us per issuance", what: "off", field: "server_us", to: "pebble", sign: "<=", goal: 0.28, stretch: 0.25},
  {n: 2, is: "issuances/s", what: "off", field: "rate", to: "pebble", sign: ">=", goal: 2.8, stretch: 3.2},
  {n: 3, is: "issuances/s, 64 accounts / pebble's with 1", what: "many", field: "rate", to: "pebble", to_what: "off", sign: ">=", goal: 4.5, stretch: 5.5},
  {n: 4, is: "an issuance takes, ms: median", what: "off", field: "p50_ms", to: "pebble", sign: "<=", goal: 0.4, stretch: 0.35},
  {n: 4, is: "  99th percentile", what: "off", field: "p99_ms", to: "pebble", sign: "<=", goal: 0.5, stretch: 0.4},
  {n: 5, is: "\($load_s) s each of 8, 64, 128, 256 accounts: lost, stalled", what: "sustained", field: "bad", sign: "<=", goal: 0},
  {n: 5, is: "  p99 / p50, 8 accounts", what: "load8", field: "spread", sign: "<=", goal: 3.5, stretch: 2},
  {n: 5, is: "  64", what: "load64", field: "spread", sign: "<=", goal: 3.5, stretch: 2},
  {n: 5, is: "  128", what: "load128", field: "spread", sign: "<=", goal: 3.5, stretch: 2},
  {n: 5, is: "  256", what: "load256", field: "spread", sign: "<=", goal: 3.5, stretch: 2},
  {n: 5, is: "  issuances/s with 256 / with 8", what: "sustained", field: "kept_rate", sign: ">=", goal: 0.85},
  {n: 6, is: "growth: CPU per issuance, 40k to 50k / first 10k", what: "growth", field: "at_50k", sign: "<=", goal: 1.1, stretch: 1.05},
  {n: 6, is: "  90k to 100k / first 10k", what: "growth", field: "at_100k", sign: "<=", goal: 1.1, stretch: 1.05},
  {n: 6, is: "  bytes per issuance, 50k to 100k / first 50k", what: "growth", field: "bytes_at_100k", sign: "<=", goal: 1.1, stretch: 1.05},
  {n: 7, is: "bytes kept per issuance", what: "off", field: "server_bytes", to: "pebble", sign: "<=", goal: 0.15, stretch: 0.1},
  {n: 8, is: "memory after start, KiB", what: "start", field: "server_kib", to: "pebble", sign: "<=", goal: 1, stretch: 0.9},
  {n: 9, is: "start to first directory, ms; / pebble", what: "start", field: "start_ms", to: "pebble", sign: "<=", goal: 0.08, stretch: 0.05},
  {n: 9, is: "  / caddy", what: "start", field: "start_ms", to: "caddy", sign: "<=", goal: 0.6, stretch: 0.4},
  {n: 10, is: "\($idle_s) s idle, 64 kept + 16 half-open: CPU ticks", what: "idle", field: "ticks", sign: "<=", goal: 1, stretch: 0},
  {n: 11, is: "cold client: CPU us per issuance", what: "cold", field: "server_us", to: "pebble", sign: "<=", goal: 0.36, stretch: 0.32},
  {n: 11, is: "  issuances/s", what: "cold", field: "rate", to: "pebble", sign: ">=", goal: 2, stretch: 2.3},
  {n: 12, is: "http-01, 1 account: CPU us per issuance; / pebble", what: "on", field: "server_us", to: "pebble", sign: "<=", goal: 0.28, stretch: 0.22},
  {n: 12, is: "  / caddy, its store in memory", what: "on", field: "server_us", to: "caddy", sign: "<=", goal: 0.28, stretch: 0.22},
  {n: 13, is: "20 names in an order: CPU us per issuance", what: "names", field: "server_us", to: "pebble", sign: "<=", goal: 0.42, stretch: 0.36},
  {n: 14, is: "http-01 answers, closing: CPU us", what: "http-closing", field: "server_us", to: "challtestsrv", sign: "<=", goal: 0.55, stretch: 0.48},
  {n: 14, is: "  answers/s", what: "http-closing", field: "rate", to: "challtestsrv", sign: ">=", goal: 1.3, stretch: 1.45},
  {n: 15, is: "http-01 answers, keep-alive: CPU us", what: "http-kept", field: "server_us", to: "challtestsrv", sign: "<=", goal: 0.25, stretch: 0.2},
  {n: 15, is: "  answers/s", what: "http-kept", field: "rate", to: "challtestsrv", sign: ">=", goal: 5, stretch: 6.5},
  {n: 16, is: "DNS answers: CPU us", what: "dns", field: "server_us", to: "challtestsrv", sign: "<=", goal: 0.45, stretch: 0.25},
  {n: 16, is: "  answers/s", what: "dns", field: "rate", to: "challtestsrv", sign: ">=", goal: 1.5, stretch: 2},
  {n: 17, is: "tls-alpn-01 handshakes: CPU us", what: "tls", field: "server_us", to: "challtestsrv", sign: "<=", goal: 0.65, stretch: 0.55},
  {n: 18, is: "responders: KiB after \($memory_n) answers", what: "memory", field: "server_kib", sign: "<=", goal: 16384, stretch: 8192},
  {n: 18, is: "  KiB grown in the second half (a few pages are none)", what: "memory", field: "grown_kib", sign: "<=", goal: 64},
  {n: 19, is: "rehearsals/s, symbolic / pebble's issuances/s", what: "symbolic", field: "wall_rate", to: "pebble", to_what: "off", to_field: "rate", sign: ">=", goal: 12, stretch: 18},
  {n: 20, is: "rehearsals/s, real signatures / the same", what: "real", field: "wall_rate", to: "pebble", to_what: "off", to_field: "rate", sign: ">=", goal: 2.5, stretch: 3.5},
  {n: 21, is: "stripped size, KiB", what: "size", field: "kib", to: "pebble", sign: "<=", goal: 0.08, stretch: 0.04}
];

def median: sort | length as $n | if $n == 0 then null else (.[($n - 1) / 2 | floor] + .[$n / 2 | floor]) / 2 end;
def over($below): if . == null or $below == null or $below <= 0 then null else . / $below end;

# What is computed from several measurements, or within one.
def derived:
    def ours($what): first(.[] | select(.what == $what and .who == "acmedrill")) // {};
    map(if .p99_ms then . + {spread: (.p50_ms as $p50 | .p99_ms | over($p50))} else . end)
    | . as $all
    | [("load8", "load64", "load128", "load256") as $what | $all | ours($what) | select(.issuances)] as $loads
    | ($all | ours("growth")) as $growth
    | ($growth.slices // []) as $slices
    | . + [{what: "sustained", who: "acmedrill", round: 1,
            bad: (if ($loads | length) == 4 then $loads | map(.errors + .stalled) | add else null end),
            kept_rate: (($all | ours("load256")).rate | over(($all | ours("load8")).rate))},
           {what: "growth", who: "acmedrill", round: 2,
            at_50k: ($slices[4].server_us | over($slices[0].server_us)),
            at_100k: ($slices[9].server_us | over($slices[0].server_us)),
            bytes_at_100k: (if $slices[9] then
                $slices[9].server_kib - $slices[4].server_kib
                    | over($slices[4].server_kib - $growth.server_kib_before)
                else null end)}];

def values_of($what; $who; $field): map(select(.what == $what and .who == $who) | .[$field] | values);
def by_round($what; $who; $field):
    map(select(.what == $what and .who == $who and .[$field] != null) | {key: (.round | tostring), value: .[$field]}) | from_entries;
def ratio($row):
    by_round($row.what; "acmedrill"; $row.field) as $ours
    | by_round($row.to_what // $row.what; $row.to; $row.to_field // $row.field)
    | [to_entries[] | .value as $theirs | $ours[.key] | over($theirs) | values] | median;
def shown: if . == null then "-" elif . >= 100 then round | tostring elif . >= 10 then . * 10 | round / 10 | tostring
    else . * 1000 | round / 1000 | tostring end;
def meets($sign; $goal): if ($sign == "<=" and . <= $goal) or ($sign == ">=" and . >= $goal) then "met" else "missed" end;
def why($row): [.[] | select(.what == $row.what and .why and (.fields == null or (.fields | index($row.field)))) | .why] | last // "no result";

derived as $all
| rows[] as $row
| $all
| (if $row.to then ratio($row) else values_of($row.what; "acmedrill"; $row.field) | median end) as $judged
| (["pebble", "challtestsrv", "caddy"] | map(. as $who | $all | values_of($row.what; $who; $row.field) | median)) as $peers
| [$row.n, $row.is, (values_of($row.what; "acmedrill"; $row.field) | median | shown)]
  + ($peers | map(shown))
  + [(if $row.to then $judged | shown else "-" end), "\($row.sign) \($row.goal)",
     (if $judged == null then "not measured: \(why($row))" else $judged | meets($row.sign; $row.goal) end),
     (if $row.stretch == null or $judged == null then "-" else "\($row.sign) \($row.stretch) \($judged | meets($row.sign; $row.stretch))" end)]
| join("\t")
