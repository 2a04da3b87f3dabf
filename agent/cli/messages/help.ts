// French for the descriptions of commands and options, which stand in English beside the code they describe. A test
// walks the whole command line and holds every description to this list.
export const frenchHelp: Record<string, string> = {
  'Recognises breaking glass, shouting and bangs on the device, forgets the sound, publishes only anonymous events.':
    'Reconnaît bris de verre, cris et détonations sur l’appareil, oublie le son, ne publie que des événements anonymes.',
  'all values in force, defaults included, secrets redacted': 'toutes les valeurs en vigueur, défauts compris, secrets masqués',
  'at most this many': 'pas plus que ce nombre',
  'audio files': 'fichiers audio',
  'check a model folder and show its manifest': 'vérifier un dossier de modèle et montrer son manifeste',
  'check or show a configuration file, or print an example': 'vérifier ou montrer un fichier de configuration, ou afficher un exemple',
  'configuration file': 'fichier de configuration',
  'events that wait for delivery': 'événements en attente de transmission',
  'folder with scenes.json ([{file, seconds, events: [{onset, offset, label?, kind?, snr?}]}]) and the audio files it names, or with recordings and a label track of Audacity for each (NAME.wav, NAME.txt)':
    'dossier avec scenes.json ([{file, seconds, events: [{onset, offset, label?, kind?, snr?}]}]) et les fichiers audio qu’il nomme, ou avec des enregistrements et pour chacun une piste de marqueurs d’Audacity (NOM.wav, NOM.txt)',
  'hear the microphone and store events; never opens a network connection':
    'écouter le microphone et garder les événements ; n’ouvre jamais de connexion réseau',
  'list the microphones that can be opened': 'lister les microphones utilisables',
  'measure the cost of recognition on this machine': 'mesurer le coût de la reconnaissance sur cette machine',
  'model folder': 'dossier du modèle',
  'one JSON object': 'un objet JSON',
  'one JSON object: secondsOfSound, cpuMsPerSecond, timesRealTime, residentMegabytes':
    'un objet JSON : secondsOfSound, cpuMsPerSecond, timesRealTime, residentMegabytes',
  'one JSON object: ok, problems': 'un objet JSON : ok, problems',
  'one JSON object a line': 'un objet JSON par ligne',
  'one JSON object a line: device, description': 'un objet JSON par ligne : device, description',
  'one JSON object a line: file, label, onsetSeconds, offsetSeconds, confidence':
    'un objet JSON par ligne : file, label, onsetSeconds, offsetSeconds, confidence',
  'print a commented example': 'afficher un exemple commenté',
  'publish stored events over MQTT; never opens a sound device': 'publier les événements gardés par MQTT ; n’ouvre jamais d’appareil audio',
  'recognise sounds in audio files (wav, flac, ogg, mp3)': 'reconnaître les sons de fichiers audio (wav, flac, ogg, mp3)',
  'report every problem; contradictions between keys once each key is valid':
    'signaler tous les problèmes ; les contradictions entre clés une fois chaque clé valide',
  'run listener and courier as two processes, for development and trials': 'lancer écouteur et courrier en deux processus, pour développement et essais',
  'score the sensor on labelled scenes and write a page with plots': 'évaluer le capteur sur des scènes étiquetées et écrire une page avec courbes',
  'seconds of sound': 'secondes de son',
  'take model and thresholds from this configuration': 'prendre modèle et seuils de cette configuration',
  'the figures as one JSON object, and no page': 'les chiffres en un objet JSON, sans page',
  'the manifest as one JSON object': 'le manifeste en un objet JSON',
  'the page': 'la page',
  'thresholds of the manifest': 'seuils du manifeste',
  'check this sensor step by step, from power supply to platform': 'contrôler ce capteur étape par étape, de l’alimentation à la plateforme',
  'one JSON object: healthy, checks: [{check, state, finding, found, try, ms}]': 'un objet JSON : healthy, checks: [{check, state, finding, found, try, ms}]',
  'test the whole chain, from a sound to its event back from the broker; says where it breaks':
    'tester toute la chaîne, du son à l’événement revenu du broker ; dit où elle est rompue',
  'play the test sound through aplay and hear it with the microphone': 'jouer le son de test par aplay et l’écouter au microphone',
  'ask for a sound and hear it with the microphone': 'demander un son et l’écouter au microphone',
  'do not wait for the event to come back': 'ne pas attendre que l’événement revienne',
  'how long to wait for a sound': 'combien de temps attendre un son',
  'one JSON object: ok, brokeAt, reason, try, label, confidence, latencyMs': 'un objet JSON : ok, brokeAt, reason, try, label, confidence, latencyMs',
  'find the sensitivity of the microphone with a 94 or 114 dB, 1 kHz calibrator':
    'trouver la sensibilité du microphone avec un calibreur de 94 ou 114 dB à 1 kHz',
  'level of the calibrator': 'niveau du calibreur',
  'how long the tone must be steady, or how long to measure': 'durée pendant laquelle le son doit être stable, ou durée de mesure',
  'how long to wait for the tone; by default 25 more than --seconds': 'combien de temps attendre le son ; par défaut 25 de plus que --seconds',
  'store nothing': 'ne rien écrire',
  'instead of calibrating, measure LAeq, LAFmax and LASmax': 'au lieu de calibrer, mesurer LAeq, LAFmax et LASmax',
  'one JSON object: splAtFullScaleDb, before, frequencyHz, toneDbfs, spreadDb, stored; or the levels':
    'un objet JSON : splAtFullScaleDb, before, frequencyHz, toneDbfs, spreadDb, stored ; ou les niveaux',
  'one screen: services, clock, what became of every event': 'un écran : services, horloge, le sort de chaque événement',
  'one JSON object: site, sensor, outbox, pending, stored, sent, expired, refused, dropped, unreadable, listener, courier, broker, eventsRefused, eventRefusal, clockSynchronised, ownThresholds; hearing, fault, suspicion, listenedSeconds, elapsedSeconds, toldSecondsAgo once the listener ran in this boot':
    'un objet JSON : site, sensor, outbox, pending, stored, sent, expired, refused, dropped, unreadable, listener, courier, broker, eventsRefused, eventRefusal, clockSynchronised, ownThresholds ; hearing, fault, suspicion, listenedSeconds, elapsedSeconds, toldSecondsAgo une fois que l’écouteur a tourné depuis ce démarrage',
  'the file between listener and courier: size, what waits, what was lost': 'le fichier entre écouteur et courrier : taille, attente, pertes',
  'one JSON object: path, bytes, maxBytes, pending, oldest, oldestClock, stored, sent, expired, refused, dropped, unreadable':
    'un objet JSON : path, bytes, maxBytes, pending, oldest, oldestClock, stored, sent, expired, refused, dropped, unreadable',
  'go on and show each event as it is stored': 'continuer et montrer chaque événement dès qu’il est gardé',
  'why an event fired: scores against thresholds, level, gate': 'pourquoi un événement s’est déclenché : scores et seuils, niveau, déclenchement',
  'number of an event that waits, its id, or a file with a published event': 'numéro d’un événement en attente, son id, ou un fichier avec un événement publié',
  'doctor, selftest and privacy verify in one run, and a signed acceptance report':
    'doctor, selftest et privacy verify à la suite, et un rapport de réception signé',
  'where to create the folder of the report': 'où créer le dossier du rapport',
  'play the test sound through aplay instead of asking for it': 'jouer le son de test par aplay au lieu de le demander',
  'leave the microphone out: the report is incomplete': 'sans microphone : le rapport est incomplet',
  'the report as one JSON object': 'le rapport en un objet JSON',
  'print the completion script of a shell': 'afficher le script de complétion d’un shell',
  'which shell': 'quel shell',
  'print the manual page': 'afficher la page de manuel',
  'print the one-page card for the field as HTML': 'afficher la fiche de terrain d’une page en HTML',
  'what the sensor hears now, and why it reports an event or not': 'ce que le capteur entend, et pourquoi il signale un événement ou non',
  'thresholds for a budget of events a week, from what this sensor has counted':
    'seuils pour un budget d’événements par semaine, d’après ce que ce capteur a compté',
  'events of all labels together: 2/week, 1/day, 5/month': 'événements de toutes les étiquettes : 2/week, 1/day, 5/month',
  'use the last days of listening: 14 by default, more where the budget needs them':
    'prendre les derniers jours d’écoute : 14 par défaut, davantage si le budget le demande',
  'store the thresholds in the configuration file': 'écrire les seuils dans le fichier de configuration',
  'one JSON object: days, budgetPerWeek, boundPerWeek, events, labels with their curves, stored':
    'un objet JSON : days, budgetPerWeek, boundPerWeek, events, labels avec leurs courbes, stored',
  'stop after this many seconds': 's’arrêter après ce nombre de secondes',
  'lines instead of a live view': 'des lignes au lieu d’une vue animée',
  'one JSON object for each reading, ten a second': 'un objet JSON par mesure, dix par seconde',
  'one JSON object: event, thresholds, model': 'un objet JSON : event, thresholds, model',
  'what this sensor may publish, and whether it can do no more than that': 'ce que ce capteur peut publier, et s’il ne peut rien de plus',
  'check on the running sensor that what hears cannot speak and what speaks cannot hear':
    'vérifier sur le capteur en marche que ce qui entend ne peut parler et que ce qui parle ne peut entendre',
  'process id of `tocsin listen`, if systemd does not run it': 'numéro (PID) de `tocsin listen`, s’il n’est pas lancé par systemd',
  'process id of `tocsin deliver`, if systemd does not run it': 'numéro (PID) de `tocsin deliver`, s’il n’est pas lancé par systemd',
  'manifest that the operator has published (default: /etc/tocsin/privacy-manifest.json)':
    'manifeste publié par l’exploitant (par défaut : /etc/tocsin/privacy-manifest.json)',
  "the release's list of files, instead of the installed one": 'la liste des fichiers de la version publiée, au lieu de celle qui est installée',
  'sha256 of that list, as published with the release': 'sha256 de cette liste, telle que publiée avec la version',
  'an HTML page in French and English for the data-protection officer': 'une page HTML en français et en anglais pour le délégué à la protection des données',
  'do not hand the outcome to the courier, which publishes it': 'ne pas transmettre le résultat au courrier, qui le publie',
  'one JSON object: site, sensor, version, bootId, time, state, passed, failed, unchecked, checks: [{check, part, state, finding, what, how, found, byHand}], digest':
    'un objet JSON : site, sensor, version, bootId, time, state, passed, failed, unchecked, checks: [{check, part, state, finding, what, how, found, byHand}], digest',
  'print what this sensor may publish with its settings': 'afficher ce que ce capteur peut publier avec ses réglages',
  'list the files of an installation as sha256sum does, for tocsin.sha256':
    'lister les fichiers d’une installation comme le fait sha256sum, pour tocsin.sha256',
  installation: 'installation',
  "make this sensor's key and certificate request; install the certificate that comes back":
    'créer la clé et la demande de certificat de ce capteur ; installer le certificat reçu',
  'certificate of this sensor as the authority issued it, PEM, with any intermediate ones':
    'certificat de ce capteur tel que délivré par l’autorité, PEM, avec les intermédiaires éventuels',
  "the operator's certificate authority, PEM: kept as mqtt.caFile": 'autorité de certification de l’exploitant, PEM : installée comme mqtt.caFile',
  'a new key and request; the present ones stay in force until --install': 'une nouvelle clé et sa demande ; l’ancienne reste en vigueur jusqu’à --install',
  'discard a request that waits for its certificate, and make another': 'abandonner la demande en attente de certificat, et en faire une autre',
  'one JSON object: sensor, request, publicKeySha256, again; with --install: sensor, issuer, validFrom, validTo, sha256, key, certificate, authority, again':
    'un objet JSON : sensor, request, publicKeySha256, again ; avec --install : sensor, issuer, validFrom, validTo, sha256, key, certificate, authority, again',
};
