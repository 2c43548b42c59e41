import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Option, Result, Schedule, Schema, Stream } from "effect"
import { inspect } from "node:util"
import { Extension, Interceptor, Pipeline, Snapshot, Source, Stage, StageContext, StageOutput } from "stageflow"
import { vandalise } from "./support/vandal.ts"

const tag = Symbol("tag")

/** Every kind of data that a stage can give, made anew each time. */
const kinds: Readonly<Record<string, () => object>> = {
  "a flat object": () => ({ a: 1, b: "two", c: null, d: undefined }),
  "nested objects": () => ({ a: { b: { c: { d: [1, { e: 2 }] } } } }),
  "an array as data": () => [1, "two", { three: [3] }],
  "arrays of arrays": () => ({ list: [[1, 2], [3, [4, []]]] }),
  "a Map": () => ({ map: new Map<unknown, unknown>([["a", 1], ["b", { c: [1] }]]) }),
  "a Map as data": () => new Map([["a", { b: 1 }]]),
  "a Map with keys that are objects": () => ({ map: new Map([[{ id: 1 }, new Map([[{ id: 2 }, 1]])]]) }),
  "a Set": () => ({ set: new Set<unknown>(["a", { b: 1 }, new Set([1])]) }),
  "a Date": () => ({ date: new Date(86_400_000) }),
  "a Date inside a Map inside an array": () => ({ list: [new Map([["at", new Date(1)]])] }),
  "a DateTime": () => ({ at: DateTime.makeUnsafe(1e12) }),
  "an Option": () => ({ some: Option.some({ list: [1] }), none: Option.none() }),
  "a Result": () => ({ good: Result.succeed({ list: [1] }), bad: Result.fail({ list: [1] }) }),
  "an object without a prototype": () => Object.assign(Object.create(null) as object, { a: { b: 1 } }),
  "keys that are symbols": () => ({ [tag]: { deep: [1] }, a: 1 }),
  "keys such as __proto__": () => JSON.parse(`{"__proto__":{"a":[1]},"constructor":{"b":{}}}`) as object,
  "what its owner froze on the outside only": () => Object.freeze({ a: { b: [1] }, list: Object.freeze([{ c: 1 }]) }),
  "a frozen Map and a frozen Date": () => ({
    map: Object.freeze(new Map([["a", [1]]])),
    date: Object.freeze(new Date(1))
  })
}

/** A pipeline in which a vandal reads the data in every way before a witness reads it. */
const underAttack = (give: () => object) => {
  const producer = Stage.transform("producer", {
    run: Effect.sync(() =>
      StageOutput.ok(give(), {
        artifacts: [{ type: "chart", payload: give() }],
        events: [{ type: "made", data: give() }]
      })
    )
  })
  const vandal = Stage.work("vandal", {
    run: (inputs: {
      readonly data: object
      readonly maybe: Option.Option<object>
      readonly output: StageOutput.StageOutput
      readonly mapped: object
    }) =>
      Effect.gen(function*() {
        const context = yield* StageContext.StageContext
        vandalise(inputs)
        vandalise(yield* context.inputs.getOutput("producer"))
        for (const key of ["a", "list", "map"]) vandalise(context.inputs.get(key))
      })
  })
  const witness = Stage.work("witness", {
    run: (inputs: { readonly producer: object; readonly output: StageOutput.StageOutput }) =>
      Effect.gen(function*() {
        const context = yield* StageContext.StageContext
        assert.deepStrictEqual(inputs.producer, give())
        assert.strictEqual(inputs.output._tag, "Ok")
        if (inputs.output._tag === "Ok") assert.strictEqual(inputs.output.data, inputs.producer)
        assert.deepStrictEqual(inputs.output.artifacts, [{ type: "chart", payload: give() }])
        assert.deepStrictEqual(inputs.output.events, [{ type: "made", data: give() }])
        const output = Option.getOrThrow(yield* context.inputs.getOutput("producer"))
        assert.deepStrictEqual(output.data, give())
      })
  })
  return Pipeline.make("attacked")
    .add(producer)
    .add(vandal, (s) => ({
      inputs: {
        data: s.producer,
        maybe: s.producer.option,
        output: s.producer.output,
        mapped: Source.all({ once: s.producer, twice: s.producer.map((data) => data) })
      }
    }))
    .add(witness, (s) => ({ inputs: { producer: s.producer, output: s.producer.output }, after: ["vandal"] }))
}

describe("R15 outputs and snapshots are deeply immutable to stages", () => {
  for (const [title, make] of Object.entries(kinds)) {
    it.effect(`what one stage does to ${title} nobody else sees`, () =>
      Effect.gen(function*() {
        const { outputs } = yield* Pipeline.run(underAttack(make), Snapshot.make())
        assert.deepStrictEqual(outputs.producer.data, make())
        assert.deepStrictEqual(outputs.producer.artifacts, [{ type: "chart", payload: make() }])
      }))

    it.effect(`the stage's own ${title} stays its own: unchanged, unfrozen, and changes to it are seen by nobody`, () =>
      Effect.gen(function*() {
        const mine = make()
        const wasFrozen = Object.isFrozen(mine)
        const result = yield* Pipeline.run(underAttack(() => mine), Snapshot.make())
        assert.deepStrictEqual(mine, make())
        assert.strictEqual(Object.isFrozen(mine), wasFrozen)
        if (!wasFrozen) {
          vandalise(mine)
          assert.notDeepEqual(mine, make())
        }
        assert.deepStrictEqual(result.outputs.producer.data, make())
      }))
  }

  it.effect("data of a skip, a cancel and a failure is immutable, too", () =>
    Effect.gen(function*() {
      const data = { list: [{ a: 1 }] }
      const skip = Stage.enrich("skip", { run: Effect.sync(() => StageOutput.skip("no", { data })) })
      const vandal = Stage.work("vandal", {
        run: ({ output }: { readonly output: StageOutput.StageOutput }) => Effect.sync(() => vandalise(output))
      })
      const witness = Stage.work("witness", {
        run: ({ output }: { readonly output: StageOutput.Settled }) =>
          Effect.sync(() => {
            assert.strictEqual(output._tag, "Skip")
            if (output._tag === "Skip") assert.strictEqual(output.reason, "no")
            assert.deepStrictEqual(output.data, { list: [{ a: 1 }] })
          })
      })
      const cancel = Stage.guard("cancel", { run: Effect.sync(() => StageOutput.cancel("no", { data })) })
      const pipeline = Pipeline.make("skipping")
        .add(skip)
        .add(vandal, (s) => ({ inputs: { output: s.skip.output } }))
        .add(witness, (s) => ({ inputs: { output: s.skip.output }, after: ["vandal"] }))
      yield* Pipeline.run(pipeline, Snapshot.make())
      const cancelled = yield* Pipeline.run(Pipeline.make("cancelling").add(cancel), Snapshot.make())
      vandalise(cancelled._tag === "Cancelled" ? cancelled.data : undefined)
      assert.deepStrictEqual(cancelled._tag === "Cancelled" ? cancelled.data : undefined, { list: [{ a: 1 }] })
      assert.deepStrictEqual(data, { list: [{ a: 1 }] })
      assert.isFalse(Object.isFrozen(data.list[0]))
    }))

  it.effect("what a reader does to its own inputs neither the other readers nor its next attempt see", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const clumsy = Stage.transform("clumsy", {
        run: (inputs: { readonly a: object; readonly b: Option.Option<object> }) =>
          Effect.suspend(() => {
            seen.push({ ...inputs })
            vandalise(inputs)
            return seen.length < 3 ? Effect.fail("again" as const) : Effect.succeed({})
          })
      }).pipe(Stage.retry(Schedule.recurs(5)))
      const a = Stage.transform("a", { run: Effect.succeed({ list: [1] }) })
      const pipeline = (byName: boolean) => {
        const base = Pipeline.make("clumsy").add(a).add(Stage.as(a, "b"))
        return byName
          ? base.add(clumsy, { inputs: ["a", "b?"] })
          : base.add(clumsy, (s) => ({ inputs: { a: s.a, b: s.b.option } }))
      }
      for (const byName of [true, false]) {
        seen.length = 0
        yield* Pipeline.run(pipeline(byName), Snapshot.make())
        const inputs = { a: { list: [1] }, b: Option.some({ list: [1] }) }
        assert.deepStrictEqual(seen, [inputs, inputs, inputs])
      }
    }))

  it.effect("a value that the wiring gives to every run is shared by them without being changed", () =>
    Effect.gen(function*() {
      const settings = { limits: { words: [10] } }
      const seen: Array<unknown> = []
      const stage = Stage.work("stage", {
        run: ({ given }: { readonly given: typeof settings }) =>
          Effect.sync(() => {
            seen.push(structuredClone(given))
            vandalise(given)
          })
      })
      const pipeline = Pipeline.make("shared").add(stage, () => ({ inputs: { given: Source.succeed(settings) } }))
      yield* Pipeline.run(pipeline, Snapshot.make())
      settings.limits.words.push(11)
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(seen, [{ limits: { words: [10] } }, { limits: { words: [10] } }])
      assert.deepStrictEqual(settings, { limits: { words: [10, 11] } })
    }))

  it.effect("artifacts and events that a stage adds while it runs are copied when they are added or when it ends", () =>
    Effect.gen(function*() {
      const payload = { points: [1] }
      const data = { step: [1] }
      const stage = Stage.work("stage", {
        run: Effect.gen(function*() {
          yield* StageContext.emit("step", data)
          yield* StageContext.addArtifact({ type: "chart", payload })
          data.step.push(2)
        })
      })
      const handle = yield* Pipeline.start(Pipeline.make("adding").add(stage), Snapshot.make())
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Completed")
      if (result._tag !== "Completed") return
      payload.points.push(3)
      assert.deepStrictEqual(result.outputs.stage.artifacts, [{ type: "chart", payload: { points: [1] } }])
      const events = yield* Stream.runCollect(handle.events)
      const emitted = events.flatMap((event) => event._tag === "StageEmitted" ? [event.data] : [])
      assert.deepStrictEqual(emitted, [{ step: [1] }])
      assert.isFalse(Object.isFrozen(payload) || Object.isFrozen(data) || Object.isFrozen(data.step))
    }).pipe(Effect.scoped))

  class Skills extends Extension.make<Skills>()(
    "skills",
    Schema.Struct({ levels: Schema.Array(Schema.String), since: Schema.DateTimeUtc })
  ) {}

  const skillsOf = () => ({ levels: ["expert"], since: DateTime.makeUnsafe(5) })

  const fieldsOf = () => ({
    userId: "user",
    inputText: "Hello",
    topology: "chat",
    messages: [
      {
        role: "user" as const,
        content: "Hi",
        timestamp: DateTime.makeUnsafe(1e12),
        metadata: { tokens: { list: [1] } }
      },
      { role: "assistant" as const, content: "Hello" }
    ],
    enrichments: {
      profile: { displayName: "Ada", preferences: { theme: { dark: true } }, goals: ["learn"] },
      memory: { recentTopics: ["a"], keyFacts: ["b"] },
      documents: [{ documentId: "d", blocks: [{ text: "x", marks: [1] }], metadata: { pages: [1] } }]
    },
    routingDecision: { agentId: "agent", reason: "because" },
    metadata: { nested: { deep: [{ a: 1 }] }, list: [1, 2] }
  })

  it.effect("nothing of a snapshot can be changed by a stage: fields, messages, enrichments, metadata, extensions", () =>
    Effect.gen(function*() {
      const snapshot = Snapshot.make(fieldsOf()).pipe(Snapshot.extend(Skills, skillsOf()))
      const before = Snapshot.encode(snapshot)
      const vandal = Stage.work("vandal", {
        run: Effect.gen(function*() {
          const context = yield* StageContext.StageContext
          const current = yield* Snapshot.current
          const all: Array<unknown> = [
            current,
            context.snapshot,
            context.identity,
            context.lineage,
            yield* Snapshot.identity
          ]
          all.push(yield* Skills)
          all.forEach(vandalise)
        })
      })
      const witness = Stage.work("witness", {
        run: Effect.gen(function*() {
          const { interactionId, pipelineRunId, requestId, ...current } = yield* Snapshot.current
          assert.deepStrictEqual({ ...current }, { ...snapshot })
          const context = yield* StageContext.StageContext
          const { lineage, identity } = context
          assert.deepStrictEqual([pipelineRunId, pipelineRunId], [identity.pipelineRunId, lineage.runId])
          assert.deepStrictEqual([requestId, interactionId], [identity.requestId, identity.interactionId])
          assert.deepStrictEqual(yield* Skills, skillsOf())
        })
      })
      const pipeline = Pipeline.make("snapshot").add(vandal).add(witness, { after: ["vandal"] })
      const { identity, lineage } = yield* Pipeline.run(pipeline, snapshot)
      assert.strictEqual(identity.pipelineRunId, lineage.runId)
      assert.deepStrictEqual(Snapshot.encode(snapshot), before)
      const { metadata, messages, enrichments } = fieldsOf()
      assert.deepStrictEqual(
        [snapshot.metadata, snapshot.messages, snapshot.enrichments] as ReadonlyArray<unknown>,
        [metadata, messages, enrichments] as ReadonlyArray<unknown>
      )
    }))

  it.effect("a decoded snapshot is as immutable as a made one", () =>
    Effect.gen(function*() {
      const json = Snapshot.encode(Snapshot.make(fieldsOf()).pipe(Snapshot.extend(Skills, skillsOf())))
      const text = JSON.stringify(json)
      const snapshot = yield* Snapshot.decode(json, { extensions: [Skills] })
      vandalise(snapshot)
      assert.strictEqual(JSON.stringify(Snapshot.encode(snapshot)), text)
      assert.strictEqual(JSON.stringify(json), text)
      assert.isFalse(Object.isFrozen(json))
    }))

  it.effect("what the caller passes in stays the caller's: unchanged, unfrozen, and later changes do not come in", () =>
    Effect.gen(function*() {
      const fields = fieldsOf()
      const skills = skillsOf()
      const snapshot = Snapshot.make(fields).pipe(Snapshot.extend(Skills, skills))
      const witness = Stage.work("witness", {
        run: Effect.gen(function*() {
          const { metadata, messages } = yield* Snapshot.current
          assert.deepStrictEqual(metadata, fieldsOf().metadata)
          assert.deepStrictEqual(messages, fieldsOf().messages)
          assert.deepStrictEqual(yield* Skills, skillsOf())
        })
      })
      yield* Pipeline.run(Pipeline.make("mine").add(witness), snapshot)
      assert.deepStrictEqual(fields, fieldsOf())
      assert.deepStrictEqual(skills, skillsOf())
      vandalise([fields, skills])
      assert.notDeepEqual(fields, fieldsOf())
      assert.notDeepEqual(skills, skillsOf())
      yield* Pipeline.run(Pipeline.make("mine").add(witness), snapshot)
    }))

  it.effect("the data that a caller cancels with stays the caller's", () =>
    Effect.gen(function*() {
      const data = { why: { list: [1] } }
      const pipeline = Pipeline.make("waits").add(Stage.work("waits", { run: Effect.never }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* handle.cancel("enough", { data })
      data.why.list.push(2)
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag === "Cancelled") assert.deepStrictEqual(result.data, { why: { list: [1] } })
    }).pipe(Effect.scoped))

  /** Data whose every property is computed anew each time it is read. */
  const live = () => {
    let reads = 0
    const next = () => ++reads
    const define = (target: object, key: PropertyKey) =>
      Object.defineProperty(target, key, { get: next, enumerable: true, configurable: true })
    return { define, next }
  }

  const lively: Readonly<Record<string, (freeze: <A extends object>(value: A) => A) => object>> = {
    "of the data itself": () => {
      const { define } = live()
      return define(define({}, "a"), "b")
    },
    "of the data itself, frozen": (freeze) => {
      const { define } = live()
      return freeze(define(define({}, "a"), "b"))
    },
    "that is named by a symbol": (freeze) => {
      const { define } = live()
      return freeze(define({}, tag))
    },
    "of an object inside, frozen": (freeze) => {
      const { define } = live()
      return freeze({ inner: freeze(define({}, "a")) })
    },
    "of an array": (freeze) => {
      const { define } = live()
      return { list: freeze(define([1, 2], 1)) }
    },
    "of an object without a prototype": (freeze) => {
      const { define } = live()
      return freeze(define(Object.create(null) as object, "a"))
    },
    "that gives a number first and an object then": (freeze) => {
      const { next } = live()
      const shared = { list: [1] }
      const get = () => next() === 1 ? 1 : shared
      return freeze(Object.defineProperty({}, "a", { get, enumerable: true }))
    }
  }
  for (const [title, make] of Object.entries(lively)) {
    it.effect(`an accessor ${title} is read once: every reader sees the same value`, () =>
      Effect.gen(function*() {
        for (const freeze of [Object.freeze, <A>(value: A) => value]) {
          const data = make(freeze as <A extends object>(value: A) => A)
          const seen: Array<string> = []
          const note = (value: unknown) => Effect.sync(() => void seen.push(inspect(value, { depth: 9 })))
          const read = <const Name extends string>(name: Name) =>
            Stage.work(name, { run: ({ give }: { readonly give: object }) => note(give) })
          const pipeline = Pipeline.make("lively")
            .add(Stage.transform("give", { run: Effect.sync(() => data) }))
            .add(read("one"), { inputs: ["give"] })
            .add(read("two"), (s) => ({ inputs: { give: s.give.map((given) => given) } }))
            .add(Stage.timeout(read("three"), "1 second"), { inputs: ["give"] })
          const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
          yield* note(outputs.give.data)
          assert.lengthOf(new Set(seen), 1, seen.join(" | "))
          assert.notInclude(seen[0] ?? "", "Getter")
        }
      }))
  }

  it.effect("each property is read once, however it is copied", () =>
    Effect.gen(function*() {
      const reads = new Map<PropertyKey, number>()
      const watched = <A extends object>(value: A): A =>
        new Proxy(value, {
          get: (target, key) => {
            reads.set(key, (reads.get(key) ?? 0) + 1)
            return Reflect.get(target, key) as unknown
          }
        })
      const datas = [
        watched({ a: 1, b: "2" }),
        watched({ c: 1, d: watched({ e: { f: 1 } }) }),
        { list: watched(["g", "h"]) },
        watched(Object.freeze({ i: 1 }))
      ]
      for (const data of datas) {
        reads.clear()
        yield* Pipeline.run(
          Pipeline.make("watched").add(Stage.work("give", { run: Effect.sync(() => data) })),
          Snapshot.make()
        )
        for (const key of ["a", "b", "c", "d", "e", "0", "1", "i"]) {
          assert.isAtMost(reads.get(key) ?? 0, 1, `${key} was read more than once`)
        }
      }
    }))

  it.effect("what a function of the wiring makes is immutable to the stage that reads it, like all that it reads", () =>
    Effect.gen(function*() {
      const shared = { list: [1], map: new Map([["a", [1]]]) }
      const give = Stage.transform("give", { run: Effect.succeed({ n: 1 }) })
      const absent = Stage.enrich("absent", {
        run: Effect.succeed(StageOutput.skip("none")) as Effect.Effect<StageOutput.Skip | StageOutput.Ok<{}>>
      })
      const seen: Array<string> = []
      const read = Stage.work("read", {
        run: (inputs: { readonly it: unknown }) =>
          Effect.suspend(() => {
            seen.push(inspect(inputs, { depth: 9 }))
            vandalise(inputs)
            return seen.length % 3 === 0 ? Effect.void : Effect.fail("again" as const)
          })
      }).pipe(Stage.retry(Schedule.recurs(5)))
      const base = Pipeline.make("made").add(give).add(absent)
      const ways = [
        base.add(read, (s) => ({ inputs: { it: s.give.map(() => shared) } })),
        base.add(read, (s) => ({ inputs: { it: s.give.map(() => shared).map((value) => value) } })),
        base.add(read, (s) => ({ inputs: { it: s.absent.orElse(() => shared) } })),
        base.add(read, () => ({ inputs: { it: Source.snapshot(() => shared) } })),
        base.add(read, (s) => ({ inputs: { it: Source.all({ a: s.give.map(() => shared), b: s.give }) } })),
        base.add(
          read,
          (s) => ({ inputs: { it: Source.all({ a: Source.all({ b: s.absent.orElse(() => shared) }) }) } })
        ),
        base.add(Stage.mapInput(read, () => ({ it: shared }))),
        base.add(Stage.mapInput(read, (inputs: { readonly give: object }) => ({ ...inputs, it: shared })), {
          inputs: ["give"]
        })
      ] as ReadonlyArray<typeof base>
      for (const [index, pipeline] of ways.entries()) {
        seen.length = 0
        yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual([seen.length, new Set(seen).size], [3, 1], `way ${index}`)
        assert.deepStrictEqual(shared, { list: [1], map: new Map([["a", [1]]]) })
        assert.isFalse(Object.isFrozen(shared) || Object.isFrozen(shared.list))
      }
    }))

  it.effect("a stage may do the same with its inputs whatever is around it", () =>
    Effect.gen(function*() {
      const nothing = Interceptor.make({ name: "nothing", around: (effect) => effect })
      const give = Stage.transform("give", { run: Effect.succeed({ list: [1] }) })
      const changing = (change: (inputs: Record<string, unknown>) => unknown) =>
        Stage.work("change", {
          run: (inputs: { readonly give: unknown }) =>
            Effect.sync(() => {
              change(inputs as Record<string, unknown>)
            })
        })
      const changes: ReadonlyArray<(inputs: Record<string, unknown>) => unknown> = [
        (inputs) => (inputs["added"] = 1),
        (inputs) => (inputs["give"] = 1),
        (inputs) => Reflect.deleteProperty(inputs, "give") || assert.fail("refused"),
        (inputs) => Object.assign(inputs, { give: 1 })
      ]
      for (const change of changes) {
        const plain = changing(change)
        for (const stage of [plain, Stage.timeout(plain), Stage.retry(plain), Stage.intercept(plain, nothing)]) {
          const base = Pipeline.make("changing").add(give)
          const ways = [
            base.add(stage, { inputs: ["give"] }),
            base.add(stage, (s) => ({ inputs: { give: s.give } })),
            base.add(stage, (s) => ({ inputs: { give: s.give.option } })),
            base.add(stage, (s) => ({ inputs: { give: s.give } })).pipe(Pipeline.intercept(nothing))
          ] as ReadonlyArray<typeof base>
          for (const pipeline of ways) {
            const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
            assert.strictEqual(failed.stage, "change")
          }
        }
      }
    }))

  it.effect("how a stage ended that did not start is one thing for every run: nobody can write on it", () =>
    Effect.gen(function*() {
      const outputs: Array<StageOutput.StageOutput> = []
      const pipeline = Pipeline.make("unstarted")
        .add(Stage.work("no", { run: Effect.void }), () => ({ when: Source.succeed(false) }))
        .add(
          Stage.work("behind", { run: (_: { readonly it: object }) => Effect.void }),
          (s) => ({ inputs: { it: s.no.required } })
        )
        .add(
          Stage.work("read", {
            run: (inputs: { readonly no: StageOutput.StageOutput; readonly behind: StageOutput.StageOutput }) =>
              Effect.sync(() => {
                outputs.push(inputs.no, inputs.behind)
                vandalise(inputs)
              })
          }),
          (s) => ({ inputs: { no: s.no.output, behind: s.behind.output } })
        )
      for (let run = 0; run < 2; run++) {
        const result = yield* Pipeline.run(pipeline, Snapshot.make())
        vandalise([result.outputs.no.data, result.outputs.behind.data])
        for (const output of [...outputs, result.outputs.no, result.outputs.behind]) {
          assert.strictEqual(output._tag, "Skip")
          if (output._tag === "Skip") assert.deepStrictEqual(output.data, {})
        }
      }
    }))

  it.effect("bytes, functions and instances of classes are passed by reference, as documented", () =>
    Effect.gen(function*() {
      class Account {
        balance = 1
        readonly #secret = 42
        get secret() {
          return this.#secret
        }
      }
      class Names extends Map<string, string> {
        get first() {
          return this.values().next().value
        }
      }
      class Days extends Date {
        get day() {
          return this.getTime() / 86_400_000
        }
      }
      class Stack extends Array<number> {
        get top() {
          return this.at(-1)
        }
      }
      const given = {
        bytes: new Uint8Array([1, 2, 3]),
        buffer: new ArrayBuffer(8),
        view: new DataView(new ArrayBuffer(8)),
        f: () => 1,
        account: new Account(),
        names: new Names([["a", "b"]]),
        days: new Days(86_400_000),
        stack: Stack.from([1, 2]) as Stack,
        pattern: /x/u,
        error: new Error("x"),
        weak: new WeakMap<object, number>(),
        url: new URL("https://example.org/")
      }
      const read = Stage.work("read", {
        run: ({ give }: { readonly give: typeof given }) =>
          Effect.sync(() => {
            for (const [key, value] of Object.entries(given)) assert.strictEqual(Reflect.get(give, key), value, key)
            assert.strictEqual(give.account.secret, 42)
            assert.strictEqual(give.names.first, "b")
            assert.strictEqual(give.days.day, 1)
            assert.strictEqual(give.stack.top, 2)
            assert.strictEqual(give.names.set("c", "d").size, 2)
          })
      })
      const give = Stage.transform("give", { run: Effect.sync(() => given) })
      yield* Pipeline.run(Pipeline.make("references").add(give).add(read, { inputs: ["give"] }), Snapshot.make())
      assert.isFalse(Object.isFrozen(given.account))
    }))

  it.effect("what is known to be immutable is passed on by reference, not copied again", () =>
    Effect.gen(function*() {
      const made = Object.values(kinds).map((make) => make())
      const first = Stage.transform("first", { run: Effect.sync(() => ({ made })) })
      const second = Stage.transform("second", {
        run: (inputs: { readonly first: { readonly made: ReadonlyArray<object> } }) =>
          Effect.succeed({ same: inputs.first.made, again: { list: [inputs.first.made, inputs.first] } })
      })
      const pipeline = Pipeline.make("references").add(first).add(second, { inputs: ["first"] })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.notStrictEqual(outputs.first.data.made, made)
      assert.strictEqual(outputs.second.data.same, outputs.first.data.made)
      assert.strictEqual(outputs.second.data.again.list[0], outputs.first.data.made)
      assert.strictEqual(outputs.second.data.again.list[1], outputs.first.data)
    }))

  it.effect("one snapshot for all stages and runs: its parts are passed by reference", () =>
    Effect.gen(function*() {
      const snapshot = Snapshot.make(fieldsOf())
      const stage = Stage.transform("stage", {
        run: Effect.map(Snapshot.current, ({ messages, metadata }) => ({ messages, metadata }))
      })
      for (let run = 0; run < 2; run++) {
        const { outputs } = yield* Pipeline.run(Pipeline.make("references").add(stage), snapshot)
        assert.strictEqual(outputs.stage.data.messages, snapshot.messages)
        assert.strictEqual(outputs.stage.data.metadata, snapshot.metadata)
      }
    }))
})
