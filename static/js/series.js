// Intervals -> columns to draw: at most LIMIT points a trace, and the peaks are kept.

export const LIMIT = 1000

const worst = (values) => (values.length ? Math.max(...values) : null)

function grouped(intervals) {
  // one point is kept for the right edge of the last step
  const size = Math.max(1, Math.ceil(intervals.length / (LIMIT - 1)))
  const groups = []
  for (let i = 0; i < intervals.length; i += size) groups.push(intervals.slice(i, i + size))
  return groups
}

const present = (values) => values.filter((value) => value !== null && value !== undefined)

/** Steps: each value holds from its time to the next; the last one is repeated at its end. */
function steps(groups, value) {
  const x = groups.map((group) => group[0].t)
  const y = groups.map(value)
  const last = groups.at(-1)?.at(-1)
  if (last) {
    x.push(last.t + last.width)
    y.push(y.at(-1))
  }
  return { x, y }
}

/** The lowest share of good answers in it, from 0 to 1; null where nothing was asked. */
const low = (probe) => probe?.low ?? (probe?.total ? probe.good / probe.total : null)

function lowestShare(group, probe) {
  const shares = present(group.map((interval) => low(interval.probes?.[probe])))
  return shares.length ? Math.min(...shares) * 100 : null
}

function mergedProbe(a, b) {
  const either = (key, choose) => {
    const values = present([a?.[key], b?.[key]])
    return values.length ? choose(...values) : null
  }
  const worse = { p50: either('p50', Math.max), p99: either('p99', Math.max), max: either('max', Math.max) }
  const lows = present([low(a), low(b)])
  const sum = (key) => (a?.[key] ?? 0) + (b?.[key] ?? 0)
  return { good: sum('good'), total: sum('total'), ...worse, low: lows.length ? Math.min(...lows) : null }
}

/** Failures a second at their worst, also where a merged interval was calmer on the whole. */
const most = ({ ops, width }, kind) => ops?.most?.[kind] ?? (ops?.[kind] ?? 0) / width

function mergedOperations(a, b) {
  if (!a.ops || !b.ops) return a.ops ?? b.ops ?? null
  const sums = Object.fromEntries(['ok', 'fail', 'info'].map((kind) => [kind, (a.ops[kind] ?? 0) + (b.ops[kind] ?? 0)]))
  const shares = joined(a.ops.shares, b.ops.shares, add)
  return { ...sums, ...(shares && { shares }), most: { fail: Math.max(most(a, 'fail'), most(b, 'fail')), info: Math.max(most(a, 'info'), most(b, 'info')) } }
}

const add = (a, b) => a + b

/** Two mappings as one; undefined where there is neither. */
function joined(a, b, join) {
  if (!a || !b) return a ?? b
  const found = { ...a }
  for (const [name, value] of Object.entries(b)) found[name] = name in found ? join(found[name], value) : value
  return found
}

/** [bucket, how many, …] -> a mapping, and back. */
const buckets = (heat) => heat && Object.fromEntries(heat.flatMap((b, i) => (i % 2 ? [] : [[b, heat[i + 1]]])))
const flat = (counts) => counts && Object.entries(counts).flatMap(([b, times]) => [Number(b), times])

/** What only some intervals have: sums, and the largest lag. */
function mergedRest(a, b) {
  const found = {
    heat: flat(joined(buckets(a.heat), buckets(b.heat), add)),
    errors: joined(a.errors, b.errors, add),
    lag: joined(a.lag, b.lag, Math.max),
    answered: joined(a.answered, b.answered, add),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value))
}

/** Two intervals that follow each other as one, with the worst of both. */
function merged(a, b) {
  const names = new Set([...Object.keys(a.probes ?? {}), ...Object.keys(b.probes ?? {})])
  const probes = Object.fromEntries([...names].map((name) => [name, mergedProbe(a.probes?.[name], b.probes?.[name])]))
  return { t: a.t, width: b.t + b.width - a.t, probes, ops: mergedOperations(a, b), ...mergedRest(a, b) }
}

/** What is kept of a long run in the page: its newest part as it was told, the older in pairs. */
export function thinned(intervals) {
  const older = intervals.length - LIMIT
  if (older < LIMIT) return intervals
  const pairs = []
  for (let i = 0; i + 1 < older; i += 2) pairs.push(merged(intervals[i], intervals[i + 1]))
  return [...pairs, ...intervals.slice(older - (older % 2))]
}

export function availability(intervals, probe) {
  return steps(grouped(intervals), (group) => lowestShare(group, probe))
}

export function latency(intervals, probe, quantile) {
  return steps(grouped(intervals), (group) => {
    const values = present(group.map((interval) => interval.probes?.[probe]?.[quantile]))
    return values.length ? worst(values) * 1e3 : null
  })
}

export function operations(intervals, kind) {
  return steps(grouped(intervals), (group) => {
    const known = group.filter((interval) => interval.ops)
    if (!known.length) return null
    if (kind !== 'ok') return Math.max(...known.map((interval) => most(interval, kind)))
    const width = known.reduce((sum, interval) => sum + interval.width, 0)
    return known.reduce((sum, interval) => sum + (interval.ops[kind] ?? 0), 0) / width
  })
}

const sumOf = (group, value) => group.reduce((sum, interval) => sum + (value(interval) ?? 0), 0)
const widthOf = (group) => sumOf(group, (interval) => interval.width)

/** The names of what the intervals count by name, those that came most often first. */
function namesOf(intervals, counts) {
  const totals = new Map()
  for (const interval of intervals) {
    for (const [name, times] of Object.entries(counts(interval) ?? {})) totals.set(name, (totals.get(name) ?? 0) + times)
  }
  return [...totals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name)
}

const OTHER = 'other'
const NAMED = 6

/** Errors a second, by name: the six that came most often, and all others as one. */
export function errors(intervals) {
  const names = namesOf(intervals, (interval) => interval.errors).filter((name) => name !== OTHER)
  const shown = names.slice(0, NAMED)
  const groups = grouped(intervals)
  const traces = shown.map((name) => [name, steps(groups, (group) => sumOf(group, ({ errors: e }) => e?.[name]) / widthOf(group))])
  const rest = (interval) => Object.entries(interval.errors ?? {}).reduce((sum, [name, times]) => (shown.includes(name) ? sum : sum + times), 0)
  if (intervals.some(rest)) traces.push([OTHER, steps(groups, (group) => sumOf(group, rest) / widthOf(group))])
  return traces
}

/** How the operations were shared out among the nodes that were asked. */
export const asked = ({ ops }) => ops?.shares
/** How the looks were shared out among the servers behind a balancer. */
export const answered = (interval) => interval.answered

/** What `counts` gives of each interval as shares, in percent. */
export function shares(intervals, counts) {
  const groups = grouped(intervals)
  const total = (group) => sumOf(group, (interval) => sumOf(Object.values(counts(interval) ?? {}), (times) => times))
  return namesOf(intervals, counts).sort().map((name) => [name, steps(groups, (group) => {
    const all = total(group)
    return all ? (sumOf(group, (interval) => counts(interval)?.[name]) / all) * 100 : null
  })])
}

/** The same of the newest intervals, from 0 to 1, by name; null where nothing was counted. */
export function sharesNow(intervals, counts, seconds = 5) {
  const end = intervals.at(-1)
  const recent = end ? intervals.filter(({ t }) => t >= end.t + end.width - seconds) : []
  const all = recent.reduce((sums, interval) => joined(sums, counts(interval) ?? {}, add), {})
  const total = Object.values(all).reduce(add, 0)
  return total ? Object.fromEntries(Object.entries(all).map(([name, times]) => [name, times / total])) : null
}

/** By how many bytes each node was behind, at worst. */
export function lags(intervals) {
  const groups = grouped(intervals)
  return namesOf(intervals, (interval) => interval.lag).sort().map((name) => [name, steps(groups, (group) => {
    const values = present(group.map((interval) => interval.lag?.[name]))
    return values.length ? worst(values) : null
  })])
}

const COLUMNS = 240

/** The heat map: edges of columns (s) and rows (quarters of a tenfold above 0.1 ms), and the share of each cell. */
export function heat(intervals) {
  const size = Math.max(1, Math.ceil(intervals.length / COLUMNS))
  const groups = []
  for (let i = 0; i < intervals.length; i += size) groups.push(intervals.slice(i, i + size))
  const columns = groups.map(columnOf)
  const known = columns.flatMap((column) => Object.keys(column).map(Number))
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const rows = Array.from({ length: high - low + 1 }, (_, i) => low + i)
  const totals = columns.map((column) => Object.values(column).reduce(add, 0))
  const end = intervals.at(-1)
  return {
    x: [...groups.map((group) => group[0].t), end.t + end.width],
    y: [low - 1, ...rows],
    z: rows.map((row) => columns.map((column, i) => (column[row] ? column[row] / totals[i] : null))),
    n: rows.map((row) => columns.map((column) => column[row] ?? 0)),
  }
}

/** How many answers of a group of intervals fell into each bucket. */
function columnOf(group) {
  const counts = {}
  for (const { heat: told = [] } of group) {
    for (let i = 0; i < told.length; i += 2) counts[told[i]] = (counts[told[i]] ?? 0) + told[i + 1]
  }
  return counts
}

export const probesOf = (intervals) => [...new Set(intervals.flatMap((i) => Object.keys(i.probes ?? {})))]
