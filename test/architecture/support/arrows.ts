/**
 * Says which imports of a house of modules are not allowed, and which go round in a circle: the rules of "The rooms and
 * the arrows" in docs/contributing.md.
 */
import type { Import, Module } from "./modules.ts"

/** The folders that are sub-path exports, each with the other sub-paths that it may import. */
const subPaths: Readonly<Record<string, ReadonlyArray<string>>> = {
  interceptors: [],
  guards: [],
  auth: [],
  control: [],
  streaming: [],
  observability: [],
  durable: ["sqlite"],
  tools: ["control"],
  agent: ["tools", "streaming"],
  ports: ["streaming"],
  graph: [],
  lint: [],
  testing: [],
  sqlite: []
}

/** The folders of programs, which import anything that is public. */
const programs: ReadonlySet<string> = new Set(["cli", "studio"])

/** The folders that nobody outside the package imports. */
const privateRooms: ReadonlySet<string> = new Set(["engine", "attempt", "checks", "internal"])

/** A private module of a sub-path that others read, too: one table of the interceptors' orders. */
const sharedModules: Readonly<Record<string, ReadonlyArray<string>>> = {
  "interceptors/internal/orders.ts": ["auth", "testing"]
}

/** The rooms that need nothing of `effect` but what is stable there. */
const stableRooms: ReadonlySet<string> = new Set(["core", ...privateRooms])

/** The folder of a module; the modules of no folder are the core. */
export const roomOf = (path: string): string => path.includes("/") ? path.slice(0, path.indexOf("/")) : "core"

const isSubPath = (room: string): boolean => Object.hasOwn(subPaths, room)

const isRoom = (room: string): boolean =>
  room === "core" || isSubPath(room) || programs.has(room) || privateRooms.has(room)

const isPrivateToSubPath = (path: string): boolean => isSubPath(roomOf(path)) && path.split("/")[1] === "internal"

type Graph = ReadonlyMap<string, ReadonlyArray<string>>

const graphOf = (modules: ReadonlyArray<Module>): Graph => {
  const paths = new Set(modules.map(({ path }) => path))
  return new Map(modules.map(({ imports, path }) => {
    const own = imports.filter((imported) => imported.own && paths.has(imported.module))
    return [path, Array.from(new Set(own.map(({ module }) => module))).toSorted()] as const
  }))
}

/** What a module imports, directly or not, in the order in which it is found; `from` itself only where there is a circle. */
const reachable = (graph: Graph, from: string, through: (path: string) => boolean): ReadonlySet<string> => {
  const found = new Set<string>()
  const rest = [from]
  for (let path = rest.shift(); path !== undefined; path = rest.shift()) {
    for (const next of graph.get(path) ?? []) {
      if (found.has(next) || !through(next)) continue
      found.add(next)
      rest.push(next)
    }
  }
  return found
}

/** What the rules need to know of the core: what is above `Pipeline.ts`, and what is below `Stage.ts`. */
interface Heights {
  readonly abovePipeline: ReadonlySet<string>
  readonly belowStage: ReadonlySet<string>
}

const isCore = (path: string): boolean => roomOf(path) === "core"

/** What an attempt says of errors is a word of the events, which know nothing of stages. */
const alsoBelowStage: ReadonlyArray<string> = ["Event.ts"]

const heightsOf = (graph: Graph): Heights => {
  const core = Array.from(graph.keys()).filter(isCore)
  const belowStage = new Set([...reachable(graph, "Stage.ts", isCore), ...alsoBelowStage])
  belowStage.delete("Stage.ts")
  const abovePipeline = core.filter((path) => reachable(graph, path, isCore).has("Pipeline.ts"))
  return { abovePipeline: new Set([...abovePipeline, "Pipeline.ts", "index.ts"]), belowStage }
}

const importsTheEngine = (path: string): boolean =>
  path === "Pipeline.ts" || path === "ResultCodec.ts" || ["engine", "testing"].includes(roomOf(path))

/** Why a module may not import another one of the house; `undefined` when it may. */
const objection = (from: string, { module: to, types }: Import, heights: Heights): string | undefined => {
  const [room, target] = [roomOf(from), roomOf(to)]
  if (isPrivateToSubPath(to) && room !== target && !(sharedModules[to] ?? []).includes(room)) {
    return `${target}/internal/ is private to ${target}/`
  }
  if (target === "engine" && !importsTheEngine(from)) {
    return "only Pipeline.ts, ResultCodec.ts and testing/ import the engine"
  }
  if (target === "checks" && !types) return "checks/ is imported for its types only"
  if (room === target) return undefined
  if (room === "internal") return "internal/ imports nothing of stageflow"
  if (room === "checks") {
    if (target !== "core" || heights.abovePipeline.has(to)) return "checks/ imports the public modules below Pipeline"
    return types ? undefined : "checks/ imports types only"
  }
  if (room === "attempt") {
    return target === "internal" || heights.belowStage.has(to)
      ? undefined
      : "attempt/ imports the public modules below Stage and internal/"
  }
  if (room === "engine") {
    return ["attempt", "internal"].includes(target) || (target === "core" && !heights.abovePipeline.has(to))
      ? undefined
      : "engine/ imports the public modules below Pipeline, attempt/ and internal/"
  }
  if (room === "core") return privateRooms.has(target) ? undefined : "the core imports no sub-path"
  if (programs.has(room)) {
    return target === "core" || isSubPath(target) ? undefined : `${room}/ imports public modules only`
  }
  if (programs.has(target)) return `${target}/ is a program, which nobody imports`
  if (isSubPath(target) && !(to in sharedModules) && !(subPaths[room] ?? []).includes(target)) {
    return `${room}/ does not import ${target}/`
  }
  return undefined
}

const foreignObjection = (room: string, { module }: Import): string | undefined => {
  if (!stableRooms.has(room)) return undefined
  if (module === "effect") return "it imports the modules of effect one by one, since the whole has unstable ones"
  return module.startsWith("effect/") ? undefined : "the core needs effect and nothing else"
}

/** The shortest way from a module back to itself, closed: `a -> b -> a`. */
const circleFrom = (graph: Graph, start: string): ReadonlyArray<string> | undefined => {
  const before = new Map<string, string>()
  const rest = [start]
  for (let path = rest.shift(); path !== undefined; path = rest.shift()) {
    for (const next of graph.get(path) ?? []) {
      if (next === start) {
        const way = [start]
        for (let step: string | undefined = path; step !== undefined; step = before.get(step)) way.unshift(step)
        return way
      }
      if (before.has(next)) continue
      before.set(next, path)
      rest.push(next)
    }
  }
  return undefined
}

/** The shortest circle through each module that is in one, each circle once, from its first module by name. */
const circlesIn = (graph: Graph): ReadonlyArray<string> => {
  const circles = Array.from(graph.keys()).flatMap((path) => {
    const circle = circleFrom(graph, path)?.slice(1) ?? []
    if (circle.length === 0) return []
    const first = circle.indexOf(circle.toSorted()[0] ?? "")
    const turned = [...circle.slice(first), ...circle.slice(0, first)]
    return [`a circle of imports: ${[...turned, turned[0]].join(" -> ")}`]
  })
  return Array.from(new Set(circles)).toSorted()
}

/** Everything that is wrong with the imports of a house, each as a sentence. */
export const violations = (modules: ReadonlyArray<Module>): ReadonlyArray<string> => {
  const graph = graphOf(modules)
  const heights = heightsOf(graph)
  const strangers = modules.filter(({ path }) => !isRoom(roomOf(path))).map(({ path }) =>
    `${path}: ${roomOf(path)}/ is no room of the house`
  )
  const wrong = modules.flatMap(({ imports, path }) =>
    imports.flatMap((imported) => {
      const why = imported.own
        ? graph.has(imported.module) ? objection(path, imported, heights) : "there is no such module"
        : foreignObjection(roomOf(path), imported)
      return why === undefined ? [] : [`${path} imports ${imported.module}: ${why}`]
    })
  )
  return [...strangers, ...new Set(wrong), ...circlesIn(graph)]
}

/** Imports of the core that are not stable in `effect`; `stabilityOf` gives the tag of an export, "" is the module. */
export const instabilities = (
  modules: ReadonlyArray<Module>,
  stabilityOf: (module: string, name: string) => string | undefined
): ReadonlyArray<string> =>
  Array.from(
    new Set(
      modules.filter(({ path }) => stableRooms.has(roomOf(path))).flatMap(({ imports, path }) =>
        imports.filter(({ module }) => module.startsWith("effect/")).flatMap(({ module, names }) =>
          ["", ...names].flatMap((name) => {
            const stability = stabilityOf(module, name)
            if (stability === "stable") return []
            const what = name === "" ? module : `${module}.${name}`
            return [`${path} uses ${what}: the core rests on what is stable, and it is ${stability ?? "not there"}`]
          })
        )
      )
    )
  )
