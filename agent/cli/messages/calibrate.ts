import type { Message } from '../message.ts';

export const calibrate = {
  'calibrate.title': { en: 'Tocsin calibrate: {level} dB at 1 kHz', fr: 'Tocsin calibrate : {level} dB à 1 kHz' },
  'calibrate.put': {
    en: 'Put the calibrator over the microphone, tight, and switch it on. Waiting for the tone, {seconds} s at most...',
    fr: 'Posez le calibreur sur le microphone, bien ajusté, et allumez-le. Attente du son, {seconds} s au plus...',
  },
  'calibrate.tone': { en: 'tone', fr: 'son' },
  'calibrate.tone.found': {
    en: '{hz} Hz at {level} dBFS, steady within {spread} dB for {seconds} s',
    fr: '{hz} Hz à {level} dBFS, stable à {spread} dB près pendant {seconds} s',
  },
  'calibrate.value': { en: 'result', fr: 'résultat' },
  'calibrate.value.is': { en: 'a full-scale sine is {spl} dB SPL', fr: 'un sinus pleine échelle vaut {spl} dB SPL' },
  'calibrate.value.change': { en: 'before: {before} dB, a change of {change} dB', fr: 'avant : {before} dB, écart de {change} dB' },
  'calibrate.value.large': {
    en: 'before: {before} dB. A change of {change} dB is large: another microphone, another capture volume, or one that fails.',
    fr: 'avant : {before} dB. Un écart de {change} dB est grand : autre microphone, autre volume de capture, ou micro qui faiblit.',
  },
  'calibrate.stored': { en: 'stored', fr: 'écrit' },
  'calibrate.stored.in': {
    en: 'microphone.splAtFullScaleDb in {path}. To apply it: sudo systemctl restart tocsin.target',
    fr: 'microphone.splAtFullScaleDb dans {path}. Pour l’appliquer : sudo systemctl restart tocsin.target',
  },
  'calibrate.stored.not': { en: 'not stored (--dry-run)', fr: 'non écrit (--dry-run)' },
  'calibrate.none': {
    en: 'no 1 kHz tone stood out; around 1 kHz the loudest moment had {level} dBFS',
    fr: 'aucun son de 1 kHz ne ressort ; maximum autour de 1 kHz : {level} dBFS',
  },
  'calibrate.none.try': {
    en: 'switch the calibrator on, press it on tight, try again; if it was on, sudo tocsin doctor looks at the microphone and its rate',
    fr: 'allumez le calibreur, serrez-le bien, recommencez ; s’il l’était, sudo tocsin doctor examine le microphone et sa fréquence d’échantillonnage',
  },
  'calibrate.frequency': { en: 'a tone, but of {hz} Hz: expected 1000 Hz within 20', fr: 'un son, mais de {hz} Hz : attendu 1000 Hz à 20 près' },
  'calibrate.frequency.try': {
    en: 'use a 1 kHz calibrator; is microphone.sampleRateHz what the device gives?',
    fr: 'prenez un calibreur à 1 kHz ; microphone.sampleRateHz est-il celui de l’appareil ?',
  },
  'calibrate.clipped': { en: 'the tone is clipped: too loud for this capture volume', fr: 'le son est écrêté : trop fort pour ce volume de capture' },
  'calibrate.clipped.try': {
    en: 'lower capture in alsamixer (F4), or calibrate with 94 dB',
    fr: 'baissez la capture dans alsamixer (F4), ou calibrez à 94 dB',
  },
  'calibrate.unstable': { en: 'the tone wanders by {spread} dB: expected at most 0.3', fr: 'le son varie de {spread} dB : attendu 0,3 au plus' },
  'calibrate.unstable.try': {
    en: 'hold the calibrator still and tight; new batteries; away from traffic',
    fr: 'tenez le calibreur immobile et serré ; piles neuves ; loin du trafic',
  },
  'calibrate.short': { en: 'a tone, but for {heard} s only: expected {seconds} s', fr: 'un son, mais pendant {heard} s seulement : attendu {seconds} s' },
  'calibrate.short.try': { en: 'take a longer recording of the tone', fr: 'prenez un enregistrement plus long du son' },
  'calibrate.range': {
    en: '{spl} dB SPL at full scale is impossible: expected 60 to 160',
    fr: '{spl} dB SPL à pleine échelle est impossible : attendu 60 à 160',
  },
  'calibrate.range.try': { en: 'is it --level 94 or --level 114? look at the calibrator', fr: 'est-ce --level 94 ou --level 114 ? regardez le calibreur' },
  'calibrate.measured': {
    en: 'LAeq {laeq}, LAFmax {lafmax}, LASmax {lasmax} {unit} over {seconds} s',
    fr: 'LAeq {laeq}, LAFmax {lafmax}, LASmax {lasmax} {unit} en {seconds} s',
  },
  'calibrate.brief': {
    en: 'too short to measure: expected {seconds} s at least, got less',
    fr: 'trop court à mesurer : attendu {seconds} s au moins, obtenu moins',
  },
  'calibrate.brief.try': { en: 'take a longer recording', fr: 'prenez un enregistrement plus long' },
  'calibrate.silent': {
    en: 'no sound to measure: {seconds} s heard, all of it exact zeros',
    fr: 'aucun son à mesurer : en {seconds} s, uniquement des zéros exacts',
  },
  'calibrate.silent.try': {
    en: 'check the plug, the mute switch and the capture volume (alsamixer)',
    fr: 'vérifiez la fiche, l’interrupteur et le volume de capture (alsamixer)',
  },
  'calibrate.uncalibrated': { en: 'not calibrated: dB below full scale, not dB SPL', fr: 'non calibré : dB sous la pleine échelle, pas dB SPL' },
} as const satisfies Record<string, Message>;
