/**
 * Holds the tools of a program with their ports, by name and by action type.
 *
 * `ToolRegistry.layer` makes a registry of tools, and `ToolRegistry.merge` one of several registries. What the tools need is
 * what the Layer needs: who calls a tool by its name needs the registry and nothing else.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Tool, ToolRegistry } from "stageflow/tools"
 *
 * const clock = Tool.make("clock", { description: "Says what time it is", run: () => Effect.void })
 * const weather = Tool.make("weather", { description: "Says how the weather is", run: () => Effect.void })
 *
 * const tools = ToolRegistry.merge(ToolRegistry.layer(clock), ToolRegistry.layer(weather))
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { withoutSurroundings } from "../attempt/installed.ts"
import { Suggestions } from "../internal/nearest-name.ts"
import * as options from "../internal/options.ts"
import { isAllowed } from "./internal/gating.ts"
import { Places } from "./internal/places.ts"
import * as Tool from "./Tool.ts"
import { UnknownTool } from "./ToolError.ts"

/**
 * Two tools have the same name or action type, so a call would not say which of them it means.
 */
export class DuplicateTool extends Schema.TaggedError<DuplicateTool>()("DuplicateTool", {
  /** The name or action type that both have. */
  tool: Schema.String,
  as: Schema.Literals(["name", "action type", "name and action type"])
}) {
  readonly code = "DUPLICATE_TOOL"
  override get message(): string {
    const what = this.as === "name and action type"
      ? `"${this.tool}" is the name of one tool and the action type of another`
      : `Two tools have the ${this.as} "${this.tool}"`
    return `${what}. Rename one of them`
  }
}

/**
 * A tool with what it needs.
 */
export interface Registered {
  readonly tool: Tool.Any
  /** What its ports are. */
  readonly context: Context.Context<never>
  /** Where its calls wait for each other. */
  readonly places: Places
}

/**
 * The tools that can be called.
 */
export class ToolRegistry extends Context.Service<ToolRegistry, {
  /** The tool of that name. */
  readonly get: (name: string) => Effect.Effect<Tool.Any, UnknownTool>
  /** The tool that does actions of that type. */
  readonly getByActionType: (actionType: string) => Effect.Effect<Tool.Any, UnknownTool>
  /** All of them, in the order in which they were given. */
  readonly list: ReadonlyArray<Tool.Any>
  /** Those that may be used in an execution mode, or in a run that has none. */
  readonly listFor: (executionMode: string | undefined) => ReadonlyArray<Tool.Any>
  /** The tool with what it needs, by its name. */
  readonly registered: (name: string) => Effect.Effect<Registered, UnknownTool>
}>()("stageflow/tools/ToolRegistry") {
  /**
   * A registry of these tools. It needs what they need, but for the registry itself: a tool that calls tools has that of
   * whoever calls it.
   */
  static readonly layer = <const T extends ReadonlyArray<Tool.Any>>(
    ...tools: T
  ): Layer.Layer<ToolRegistry, DuplicateTool, Exclude<Tool.Services<T[number]>, ToolRegistry>> => {
    const given = tools.map((tool) => options.ofKind("tool", "a tool; see Tool.make", Tool.isTool, tool))
    return Layer.effect(
      ToolRegistry,
      Effect.gen(function*() {
        const context = withoutSurroundings(yield* Effect.context<Exclude<Tool.Services<T[number]>, ToolRegistry>>())
        const bound = given.map((tool): Registered => ({
          tool,
          // Who runs the tool knows nothing of its ports.
          context: context as Context.Context<never>,
          places: new Places(tool.concurrency)
        }))
        return yield* registryOf(bound)
      })
    )
  }

  /**
   * One registry of all the tools of several.
   */
  static readonly merge = <const L extends ReadonlyArray<Layer.Layer<ToolRegistry, any, any>>>(
    ...layers: L
  ): Layer.Layer<ToolRegistry, DuplicateTool | Layer.Error<L[number]>, Layer.Services<L[number]>> =>
    Layer.effect(
      ToolRegistry,
      Effect.gen(function*() {
        const all: Array<Registered> = []
        for (const layer of layers) {
          const registry = Context.get(yield* Layer.build(layer as Layer.Layer<ToolRegistry>), ToolRegistry)
          for (const { name } of registry.list) all.push(yield* Effect.orDie(registry.registered(name)))
        }
        return yield* registryOf(all)
      })
    )
}

const duplicate = (tool: string, as: DuplicateTool["as"]) => Effect.fail(new DuplicateTool({ tool, as }))

const registryOf = Effect.fnUntraced(function*(
  given: ReadonlyArray<Registered>
): Effect.fn.Return<ToolRegistry["Service"], DuplicateTool> {
  const byName = new Map<string, Registered>()
  const byActionType = new Map<string, Registered>()
  for (const registered of given) {
    const { actionType, name } = registered.tool
    if (byName.has(name)) return yield* duplicate(name, "name")
    byName.set(name, registered)
    if (byActionType.has(actionType)) return yield* duplicate(actionType, "action type")
    byActionType.set(actionType, registered)
  }
  for (const [actionType, registered] of byActionType) {
    const other = byName.get(actionType)
    if (other !== undefined && other !== registered) return yield* duplicate(actionType, "name and action type")
  }
  const find = (known: ReadonlyMap<string, Registered>, name: string): Effect.Effect<Registered, UnknownTool> => {
    const found = known.get(name)
    if (found !== undefined) return Effect.succeed(found)
    const didYouMean = new Suggestions(known).nearest(name, "")
    // What a model wrote can be as long as it likes.
    const tool = name.length <= 100 ? name : `${name.slice(0, 100)}...`
    return Effect.fail(new UnknownTool({ tool, ...(didYouMean === undefined ? {} : { didYouMean }) }))
  }
  const list = Object.freeze(Array.from(byName.values(), ({ tool }) => tool))
  const toolOf = Effect.map(({ tool }: Registered) => tool)
  return {
    get: (name) => toolOf(find(byName, name)),
    getByActionType: (actionType) => toolOf(find(byActionType, actionType)),
    list,
    listFor: (executionMode) => list.filter((tool) => isAllowed(tool, executionMode)),
    registered: (name) => find(byName, name)
  }
})
