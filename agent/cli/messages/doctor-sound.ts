import type { Message } from '../message.ts';

// The microphone, and what sound it gives: measured, or as the listener that has it reports.
export const doctorSound = {
  'doctor.microphone.ok': {
    en: '{device} gives sound: {percent} % of the expected samples',
    fr: '{device} donne du son : {percent} % des échantillons attendus',
  },
  'doctor.microphone.file': { en: 'a file is played instead of a microphone: {file}', fr: 'un fichier remplace le microphone : {file}' },
  'doctor.microphone.file.try': { en: 'for a real sensor set microphone.adapter to alsa', fr: 'pour un vrai capteur mettez microphone.adapter à alsa' },
  'doctor.microphone.listener': { en: '{device} is in use by the listener, as it should be', fr: '{device} est occupé par l’écouteur, comme il se doit' },
  'doctor.microphone.silent': {
    en: '{device}: the listener has it, but has not reported for {age}',
    fr: '{device} : l’écouteur l’occupe, mais ne signale plus rien depuis {age}',
  },
  'doctor.microphone.silent.try': {
    en: 'sudo tocsin meter shows whether it hears; journalctl -u tocsin-listener -n 20',
    fr: 'sudo tocsin meter montre s’il entend ; journalctl -u tocsin-listener -n 20',
  },
  'doctor.microphone.missed': {
    en: '{device}: the listener has heard only {share} % of {span}',
    fr: '{device} : l’écouteur n’a entendu que {share} % de {span}',
  },
  'doctor.microphone.missed.try': {
    en: 'if not stopped by hand: check plug, USB hub and supply; journalctl -u tocsin-listener -n 50',
    fr: 's’il n’a pas été arrêté à la main : voyez prise, hub USB et alimentation ; journalctl -u tocsin-listener -n 50',
  },
  'doctor.microphone.tool': { en: 'the program {tool} is missing', fr: 'le programme {tool} manque' },
  'doctor.microphone.tool.try': { en: 'sudo apt install alsa-utils', fr: 'sudo apt install alsa-utils' },
  'doctor.microphone.absent': { en: '{device} is not there ({reason})', fr: '{device} est absent ({reason})' },
  'doctor.microphone.absent.try': {
    en: 'plug it in again; tocsin devices lists the names for microphone.device',
    fr: 'rebranchez-le ; tocsin devices donne les noms pour microphone.device',
  },
  'doctor.microphone.noFile': { en: '{file} is not there (microphone.file)', fr: '{file} est absent (microphone.file)' },
  'doctor.microphone.noFile.try': { en: 'check the path in microphone.file', fr: 'vérifiez le chemin dans microphone.file' },
  'doctor.microphone.busy': { en: '{device} is in use by another program', fr: '{device} est utilisé par un autre programme' },
  'doctor.microphone.busy.try': { en: 'see which: sudo fuser -v /dev/snd/*', fr: 'voyez lequel : sudo fuser -v /dev/snd/*' },
  'doctor.microphone.deaf': {
    en: '{device}: the listener has opened it but hears nothing: {fault}',
    fr: '{device} : l’écouteur l’a ouvert mais n’entend rien : {fault}',
  },
  'doctor.microphone.deaf.try': {
    en: 'unplug it, wait 5 s, plug it in; sudo tocsin meter shows whether it is heard',
    fr: 'débranchez-le 5 s, rebranchez-le ; sudo tocsin meter montre s’il est entendu',
  },
  'doctor.microphone.forbidden': { en: 'this user may not open {device}', fr: 'cet utilisateur ne peut pas ouvrir {device}' },
  'doctor.microphone.forbidden.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },
  'doctor.microphone.stalled': { en: '{device} opens but gives no sound data', fr: '{device} s’ouvre mais ne donne aucune donnée' },
  'doctor.microphone.stalled.try': {
    en: 'unplug it, wait 5 s, plug it in; or try another USB port',
    fr: 'débranchez-le 5 s, rebranchez-le ; ou essayez un autre port USB',
  },
  'doctor.microphone.slow': { en: '{device} gives {percent} % of the expected samples', fr: '{device} donne {percent} % des échantillons attendus' },
  'doctor.microphone.slow.try': {
    en: 'try another USB port, without a hub; set microphone.sampleRateHz to a rate it has',
    fr: 'essayez un autre port USB, sans hub ; mettez microphone.sampleRateHz à une fréquence qu’il admet',
  },
  'doctor.microphone.wrong': { en: '{device} leads to {reason}', fr: '{device} désigne à présent : {reason}' },
  'doctor.microphone.wrong.try': {
    en: 'put the right one back; if two are alike, name one by its USB port: tocsin devices',
    fr: 'remettez le bon ; s’il y en a deux semblables, nommez-en un par son port USB : tocsin devices',
  },
  'doctor.microphone.rate': {
    en: '{device} itself samples at {hz} Hz: it hears nothing above {half} Hz',
    fr: '{device} échantillonne lui-même à {hz} Hz : il n’entend rien au-dessus de {half} Hz',
  },
  'doctor.microphone.rate.try': {
    en: 'set microphone.sampleRateHz to a rate it has; if that is under 16000, use another microphone',
    fr: 'mettez microphone.sampleRateHz à une fréquence qu’il admet ; si elle est sous 16000, prenez un autre microphone',
  },
  'doctor.microphone.other': { en: '{device}: {reason}', fr: '{device} : {reason}' },
  'doctor.microphone.other.try': { en: 'tocsin devices lists what can be opened', fr: 'tocsin devices montre ce qui peut être ouvert' },

  'doctor.level.ok': { en: '{level} dBFS, peak {peak} dBFS', fr: '{level} dBFS, crête {peak} dBFS' },
  'doctor.level.listener': {
    en: 'the listener uses the microphone; to measure: sudo systemctl stop tocsin-listener',
    fr: 'l’écouteur utilise le microphone ; pour mesurer : sudo systemctl stop tocsin-listener',
  },
  'doctor.level.loud': { en: 'the sound that the listener hears is clipped: too loud', fr: 'le son qu’entend l’écouteur est écrêté : trop fort' },
  'doctor.level.loud.try': { en: 'lower capture in alsamixer (F4)', fr: 'baissez la capture dans alsamixer (F4)' },
  'doctor.level.covered': {
    en: 'the listener hears much less than usual: covered?',
    fr: 'l’écouteur entend bien moins que d’habitude : couvert ?',
  },
  'doctor.level.covered.try': {
    en: 'free the membrane; clap: does sudo tocsin meter show it? after lower capture or a move it passes in weeks',
    fr: 'dégagez la membrane ; frappez des mains : sudo tocsin meter le montre-t-il ? après capture baissée ou déplacement, cela passe en quelques semaines',
  },
  'doctor.level.noisy': {
    en: 'the listener hears much more than usual, without change',
    fr: 'l’écouteur entend bien plus que d’habitude, sans variation',
  },
  'doctor.level.noisy.try': {
    en: 'is there a machine, wind or a bad contact? sudo tocsin meter shows the level',
    fr: 'une machine, le vent ou un mauvais contact ? sudo tocsin meter montre le niveau',
  },
  'doctor.level.file': { en: 'no microphone is used', fr: 'aucun microphone n’est utilisé' },
  'doctor.level.zeros': {
    en: 'exact zeros: the microphone is mute or dead, no street is this quiet',
    fr: 'zéros exacts : micro coupé ou mort, aucune rue n’est si calme',
  },
  'doctor.level.zeros.try': {
    en: 'alsamixer: F4, then unmute (M) and raise; check the mute switch and plug',
    fr: 'alsamixer : F4, rétablir (M) et monter ; vérifiez l’interrupteur et la prise',
  },
  'doctor.level.flat': { en: 'one constant value ({level} dBFS): no sound gets in', fr: 'une valeur constante ({level} dBFS) : aucun son n’entre' },
  'doctor.level.flat.try': { en: 'check the cable and plug; try another microphone', fr: 'vérifiez câble et prise ; essayez un autre microphone' },
  'doctor.level.quiet': { en: '{level} dBFS: very quiet, covered or turned down', fr: '{level} dBFS : très faible, couvert ou baissé' },
  'doctor.level.quiet.try': {
    en: 'free the membrane; raise capture in alsamixer (F4); clap and run again',
    fr: 'dégagez la membrane ; montez la capture dans alsamixer (F4) ; frappez des mains et recommencez',
  },
  'doctor.level.clipped': {
    en: '{percent} % of the samples are at full scale: too loud',
    fr: '{percent} % des échantillons sont à pleine échelle : trop fort',
  },
  'doctor.level.clipped.try': { en: 'lower capture in alsamixer (F4)', fr: 'baissez la capture dans alsamixer (F4)' },
} as const satisfies Record<string, Message>;
