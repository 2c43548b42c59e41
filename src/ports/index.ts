/**
 * Ready-made ports: what pipelines ask of speech services, screens and stores, with adapters, test doubles and contracts.
 */
export * as AudioSink from "./AudioSink.ts"
export * as Contract from "./Contract.ts"
export * as Espeak from "./Espeak.ts"
export * as InteractionStore from "./InteractionStore.ts"
export * as LLMResponse from "./LLMResponse.ts"
export * as OpenAiSpeech from "./OpenAiSpeech.ts"
export * as PortFailure from "./PortFailure.ts"
export * as Scripted from "./Scripted.ts"
export * as SpeechToText from "./SpeechToText.ts"
export * as StatusUpdates from "./StatusUpdates.ts"
export * as STTResponse from "./STTResponse.ts"
export * as TextToSpeech from "./TextToSpeech.ts"
export * as TokenSink from "./TokenSink.ts"
export * as TTSResponse from "./TTSResponse.ts"
