/**
 * Lets data flow: bounded queues and audio buffers between who makes chunks and who reads them, audio and its formats.
 */
export * as BargeIn from "./BargeIn.ts"
export * as ChunkQueue from "./ChunkQueue.ts"
export * as Pcm from "./Pcm.ts"
export * as Sentences from "./Sentences.ts"
export * as StreamingBuffer from "./StreamingBuffer.ts"
export * as StreamSignal from "./StreamSignal.ts"
export * as Wav from "./Wav.ts"
