import type { Message } from '../message.ts';

// From the network interface to the broker's access control.
export const doctorLink = {
  'doctor.network.ok': { en: '{interface} has a route out', fr: '{interface} a une route vers l’extérieur' },
  'doctor.network.local': { en: 'the broker is on this board', fr: 'le broker est sur cette carte' },
  'doctor.network.none': { en: 'no network: no interface has a route', fr: 'pas de réseau : aucune interface n’a de route' },
  'doctor.network.none.try': { en: 'check cable, SIM or Wi-Fi: nmcli device; ip route', fr: 'vérifiez câble, SIM ou Wi-Fi : nmcli device ; ip route' },

  'doctor.host.ok': { en: '{host} is {address}', fr: '{host} est {address}' },
  'doctor.host.number': { en: '{host} is an address already', fr: '{host} est déjà une adresse' },
  'doctor.host.unknown': { en: 'no name server knows {host}', fr: 'aucun serveur de noms ne connaît {host}' },
  'doctor.host.unknown.try': { en: 'check the spelling of mqtt.url; getent hosts {host}', fr: 'vérifiez l’orthographe de mqtt.url ; getent hosts {host}' },
  'doctor.host.server': { en: 'the name server does not answer ({code})', fr: 'le serveur de noms ne répond pas ({code})' },
  'doctor.host.server.try': {
    en: 'is the network cable or SIM in place? cat /etc/resolv.conf; ip address',
    fr: 'le câble réseau ou la SIM sont-ils en place ? cat /etc/resolv.conf ; ip address',
  },

  'doctor.port.ok': { en: '{host}:{port} answers in {ms} ms', fr: '{host}:{port} répond en {ms} ms' },
  'doctor.port.refused': { en: '{host}:{port} refuses: no broker on this port', fr: '{host}:{port} refuse : pas de broker sur ce port' },
  'doctor.port.refused.try': {
    en: 'check the port in mqtt.url (8883 with TLS); does the broker run?',
    fr: 'vérifiez le port de mqtt.url (8883 avec TLS) ; le broker tourne-t-il ?',
  },
  'doctor.port.silent': { en: '{host}:{port} does not answer ({reason})', fr: '{host}:{port} ne répond pas ({reason})' },
  'doctor.port.silent.try': {
    en: 'a firewall or the SIM’s network blocks it: ask the operator to open port {port}',
    fr: 'un pare-feu ou le réseau de la SIM bloque : demandez l’ouverture du port {port}',
  },

  'doctor.link.slow': {
    en: 'not done within {seconds} s, but the courier is connected: a slow link, or one that has just broken',
    fr: 'pas terminé en {seconds} s, mais le courrier est connecté : une liaison lente, ou qui vient de se rompre',
  },
  'doctor.link.slow.try': {
    en: 'run it again in two minutes; do events leave? sudo tocsin status; getent hosts shows a slow name server',
    fr: 'recommencez dans deux minutes ; les événements partent-ils ? sudo tocsin status ; getent hosts montre un serveur de noms lent',
  },
  'doctor.tls.ok': { en: '{protocol}, the broker proved its name', fr: '{protocol}, le broker a prouvé son nom' },
  'doctor.tls.local': { en: 'not used: the broker is on this board', fr: 'non utilisé : le broker est sur cette carte' },
  'doctor.tls.open': {
    en: 'not used: anyone between here and the broker can read and forge events',
    fr: 'non utilisé : n’importe qui sur le trajet peut lire et falsifier les événements',
  },
  'doctor.tls.open.try': {
    en: 'ask for an mqtts:// address, then set mqtt.url and mqtt.caFile',
    fr: 'demandez une adresse mqtts://, puis réglez mqtt.url et mqtt.caFile',
  },
  'doctor.tls.files': { en: '{reason}', fr: '{reason}' },
  'doctor.tls.files.try': {
    en: 'sudo tocsin provision --install puts certificate and authority there; any other file by hand, readable by the service',
    fr: 'sudo tocsin provision --install y place certificat et autorité ; tout autre fichier à la main, lisible par le service',
  },
  'doctor.tls.notCertificate': { en: '{setting} holds no certificate that can be read: {what}', fr: '{setting} n’a pas de certificat lisible : {what}' },
  'doctor.tls.notCertificate.try': {
    en: 'install it in PEM: it begins with -----BEGIN CERTIFICATE-----',
    fr: 'installez-le en PEM : il commence par -----BEGIN CERTIFICATE-----',
  },
  'doctor.tls.notKey': { en: 'mqtt.keyFile holds no key that can be used: {what}', fr: 'mqtt.keyFile n’a pas de clé utilisable : {what}' },
  'doctor.tls.notKey.try': {
    en: 'it must be PEM without a passphrase; for a new key: sudo tocsin provision --renew',
    fr: 'il la faut en PEM, sans phrase de passe ; pour une autre clé : sudo tocsin provision --renew',
  },
  'doctor.tls.content.locked': { en: 'a key with a passphrase', fr: 'une clé avec phrase de passe' },
  'doctor.tls.content.key': { en: 'a private key', fr: 'une clé privée' },
  'doctor.tls.content.request': { en: 'a certificate request', fr: 'une demande de certificat' },
  'doctor.tls.content.certificate': { en: 'a certificate', fr: 'un certificat' },
  'doctor.tls.content.der': { en: 'DER in place of PEM', fr: 'du DER au lieu de PEM' },
  'doctor.tls.content.utf16': { en: 'text in UTF-16, not in UTF-8', fr: 'du texte en UTF-16, et non en UTF-8' },
  'doctor.tls.content.other': { en: 'nothing of the kind', fr: 'rien de tel' },
  'doctor.tls.stranger': {
    en: 'the certificate is for {name}, but this sensor is {sensor}',
    fr: 'le certificat est au nom de {name}, mais ce capteur est {sensor}',
  },
  'doctor.tls.stranger.try': {
    en: 'the broker’s ACL uses the name in the certificate: sudo tocsin provision --renew',
    fr: 'le broker accorde les droits selon le nom du certificat : sudo tocsin provision --renew',
  },
  'doctor.tls.key': { en: 'mqtt.keyFile and mqtt.certFile do not belong together', fr: 'mqtt.keyFile et mqtt.certFile ne vont pas ensemble' },
  'doctor.tls.key.try': { en: 'install certificate and key of this sensor again', fr: 'réinstallez certificat et clé de ce capteur' },
  'doctor.tls.ca': { en: 'the broker is signed by an authority this sensor does not know', fr: 'le broker est signé par une autorité inconnue du capteur' },
  'doctor.tls.ca.try': { en: 'ask for the right CA file and name it in mqtt.caFile', fr: 'demandez le bon fichier d’autorité et nommez-le dans mqtt.caFile' },
  'doctor.tls.unsuitable': {
    en: 'the broker’s certificate is not fit for a broker ({reason})',
    fr: 'le certificat du broker est impropre à un broker ({reason})',
  },
  'doctor.tls.unsuitable.try': {
    en: 'the operator needs one for servers (serverAuth), signed with SHA-256 by an authority; RSA with 2,048 bits at least',
    fr: 'il en faut un de serveur (serverAuth), signé en SHA-256 par une autorité ; une clé RSA d’au moins 2 048 bits',
  },
  'doctor.tls.name': { en: 'the broker’s certificate is for {names}, not {host}', fr: 'le certificat du broker est pour {names}, pas pour {host}' },
  'doctor.tls.name.try': { en: 'use the certificate’s name in mqtt.url', fr: 'mettez le nom du certificat dans mqtt.url' },
  'doctor.tls.expired': { en: 'the broker’s certificate expired on {date}', fr: 'le certificat du broker a expiré le {date}' },
  'doctor.tls.expired.try': {
    en: 'the broker’s operator must renew it; check our clock too: date',
    fr: 'l’exploitant du broker doit le renouveler ; vérifiez aussi l’heure : date',
  },
  'doctor.tls.authority': {
    en: 'the authority that signed the broker’s certificate has expired',
    fr: 'l’autorité qui a signé le certificat du broker a expiré',
  },
  'doctor.tls.authority.try': {
    en: 'ask the operator for the one in force: sudo tocsin provision --install sensor.pem --ca ca.pem; check our clock too: date',
    fr: 'demandez à l’exploitant celle en vigueur : sudo tocsin provision --install sensor.pem --ca ca.pem ; vérifiez aussi l’heure : date',
  },
  'doctor.tls.early': {
    en: 'the broker’s certificate is valid from {date}: our clock is behind',
    fr: 'le certificat du broker vaut à partir du {date} : notre horloge retarde',
  },
  'doctor.tls.early.try': { en: 'sudo timedatectl set-ntp true', fr: 'sudo timedatectl set-ntp true' },
  'doctor.tls.plain': { en: '{host}:{port} does not speak TLS', fr: '{host}:{port} ne parle pas TLS' },
  'doctor.tls.plain.try': { en: 'use the broker’s TLS port, mostly 8883, in mqtt.url', fr: 'mettez le port TLS du broker, souvent 8883, dans mqtt.url' },
  'doctor.tls.ended': { en: '{host}:{port} ends the connection before TLS', fr: '{host}:{port} coupe la connexion avant TLS' },
  'doctor.tls.ended.try': {
    en: 'a load balancer whose broker is down, or a port without TLS: ask the operator; is the port of mqtt.url the broker’s TLS port, mostly 8883?',
    fr: 'un répartiteur dont le broker est arrêté, ou un port sans TLS : demandez à l’exploitant ; le port de mqtt.url est-il le port TLS du broker, souvent 8883 ?',
  },
  'doctor.tls.late': {
    en: 'the port takes connections, but no TLS within {seconds} s',
    fr: 'le port accepte les connexions, mais pas de TLS en {seconds} s',
  },
  'doctor.tls.late.try': {
    en: 'does the network lose large packets? sudo ip link set dev {interface} mtu 1280 (until it is set up anew), then run it again; if that does not help, ask the operator',
    fr: 'le réseau perd-il les grands paquets ? sudo ip link set dev {interface} mtu 1280 (jusqu’à sa prochaine configuration), puis recommencez ; si cela n’aide pas, demandez à l’exploitant',
  },
  'doctor.tls.client': { en: 'the broker refuses this sensor’s certificate ({reason})', fr: 'le broker refuse le certificat de ce capteur ({reason})' },
  'doctor.tls.client.try': {
    en: 'install the certificate its operator issued: mqtt.certFile and mqtt.keyFile',
    fr: 'installez le certificat délivré par son exploitant : mqtt.certFile et mqtt.keyFile',
  },
  'doctor.tls.other': { en: 'no TLS with {host}: {reason}', fr: 'pas de TLS avec {host} : {reason}' },
  'doctor.tls.other.try': { en: 'openssl s_client -connect {host}:{port}', fr: 'openssl s_client -connect {host}:{port}' },

  'doctor.dates.sensor': { en: 'this sensor’s certificate', fr: 'le certificat de ce capteur' },
  'doctor.dates.between': { en: 'an authority in the file of this sensor’s certificate', fr: 'une autorité du fichier du certificat de ce capteur' },
  'doctor.dates.broker': { en: 'the broker’s certificate', fr: 'le certificat du broker' },
  'doctor.dates.authority': { en: 'the authority’s certificate', fr: 'le certificat de l’autorité' },
  'doctor.dates.ok': { en: 'this sensor’s: good until {date} ({days} days)', fr: 'celui du capteur : valable jusqu’au {date} ({days} jours)' },
  'doctor.dates.none': { en: 'this sensor has none', fr: 'ce capteur n’en a pas' },
  'doctor.dates.soon': { en: '{whose} expires on {date}; days left: {days}', fr: '{whose} expire le {date} ; jours restants : {days}' },
  'doctor.dates.soon.try': { en: 'ask the operator for a new one now', fr: 'demandez-en un nouveau à l’exploitant dès maintenant' },
  'doctor.dates.expired': { en: '{whose} expired on {date}', fr: '{whose} a expiré le {date}' },
  'doctor.dates.expired.try': {
    en: 'install a new one; if the date is wrong: timedatectl',
    fr: 'installez-en un nouveau ; si la date est fausse : timedatectl',
  },
  'doctor.dates.early': { en: '{whose} is valid only from {date}', fr: '{whose} ne vaut qu’à partir du {date}' },
  'doctor.dates.early.try': { en: 'set the clock: sudo timedatectl set-ntp true', fr: 'réglez l’horloge : sudo timedatectl set-ntp true' },
  'doctor.dates.absent': { en: '{whose} is not at {path}', fr: '{whose} n’est pas à {path}' },
  'doctor.dates.absent.try': {
    en: 'sudo tocsin provision makes the request for it; its --install puts certificate and authority there',
    fr: 'sudo tocsin provision en fait la demande ; son option --install y place certificat et autorité',
  },
  'doctor.dates.unreadable': { en: '{whose} cannot be read: {reason}', fr: '{whose} est illisible : {reason}' },
  'doctor.dates.unreadable.try': { en: 'install it again as PEM, readable by the service', fr: 'réinstallez-le en PEM, lisible par le service' },

  'doctor.broker.ok': { en: 'accepted the sensor in {ms} ms (MQTT {protocol})', fr: 'a accepté le capteur en {ms} ms (MQTT {protocol})' },
  'doctor.broker.courier': { en: 'answers here, but the courier says: {what}', fr: 'répond ici, mais le courrier dit : {what}' },
  'doctor.broker.courier.try': {
    en: 'sudo systemctl restart tocsin-courier: systemd hands it the files in /etc/tocsin/credentials when it starts; if this persists: journalctl -u tocsin-courier -n 20',
    fr: 'sudo systemctl restart tocsin-courier : systemd lui remet les fichiers de /etc/tocsin/credentials à son démarrage ; si cela persiste : journalctl -u tocsin-courier -n 20',
  },
  'doctor.broker.taken': {
    en: 'another client with this sensor’s name keeps the courier out',
    fr: 'un autre client au nom de ce capteur évince le courrier',
  },
  'doctor.broker.taken.try': {
    en: 'does another sensor, or a copy of its card, have the same site and sensor? ask the operator',
    fr: 'un autre capteur, ou une copie de sa carte, a-t-il les mêmes site et sensor ? demandez à l’exploitant',
  },
  'doctor.broker.lost': {
    en: 'answers, but the courier had to connect {count} times within the hour',
    fr: 'répond, mais le courrier a dû se connecter {count} fois en une heure',
  },
  'doctor.broker.lost.try': {
    en: 'a weak link, a second sensor of this name, or something in between that ends idle connections: set mqtt.keepaliveSeconds to 30',
    fr: 'un lien faible, un second capteur de ce nom, ou un intermédiaire qui coupe les connexions inactives : réglez mqtt.keepaliveSeconds sur 30',
  },
  'doctor.broker.login': {
    en: 'refuses the login: name, password or certificate (reason {code})',
    fr: 'refuse l’accès : nom, mot de passe ou certificat (raison {code})',
  },
  'doctor.broker.login.try': {
    en: 'ask its operator; check mqtt.username and mqtt.passwordFile',
    fr: 'demandez à l’exploitant ; vérifiez mqtt.username et mqtt.passwordFile',
  },
  'doctor.broker.version': { en: 'does not speak MQTT {protocol}', fr: 'ne parle pas MQTT {protocol}' },
  'doctor.broker.version.try': { en: 'use a broker with MQTT 5; else mqtt.protocol: "3.1.1"', fr: 'un broker avec MQTT 5 ; sinon mqtt.protocol: "3.1.1"' },
  'doctor.broker.busy': { en: 'is busy or closing (reason {code})', fr: 'est saturé ou s’arrête (raison {code})' },
  'doctor.broker.busy.try': { en: 'wait a minute and run it again', fr: 'attendez une minute et recommencez' },
  'doctor.broker.retained': { en: 'takes no retained messages, and so refuses the courier', fr: 'ne prend pas de message retenu, et refuse donc le courrier' },
  'doctor.broker.retained.try': {
    en: 'its operator must allow them (mosquitto: retain_available)',
    fr: 'son exploitant doit les permettre (mosquitto : retain_available)',
  },
  'doctor.broker.qos': { en: 'takes QoS 0 alone, and so refuses the courier', fr: 'ne prend que la QoS 0, et refuse donc le courrier' },
  'doctor.broker.qos.try': { en: 'its operator must allow QoS 1 (mosquitto: max_qos)', fr: 'son exploitant doit permettre la QoS 1 (mosquitto : max_qos)' },
  'doctor.broker.size': { en: 'refuses messages that a sensor sends, for their size', fr: 'refuse des messages qu’un capteur envoie, pour leur taille' },
  'doctor.broker.size.try': {
    en: 'its operator must allow 2048 bytes (mosquitto: max_packet_size)',
    fr: 'son exploitant doit permettre 2048 octets (mosquitto : max_packet_size)',
  },
  'doctor.broker.code': { en: 'the broker refuses the sensor (code {code})', fr: 'le broker refuse le capteur (code {code})' },
  'doctor.broker.code.try': {
    en: 'the log of the broker says why; MQTT 5, 3.2.2.2, lists the codes',
    fr: 'le journal du broker dit pourquoi ; MQTT 5, 3.2.2.2, donne les codes',
  },
  'doctor.broker.silent': { en: 'takes the connection, and does not answer', fr: 'accepte la connexion, et ne répond pas' },
  'doctor.broker.silent.try': {
    en: 'ask its operator: some brokers answer nobody while their disk or memory is full; is the port of mqtt.url right?',
    fr: 'demandez à son exploitant : certains brokers ne répondent à personne quand leur disque ou leur mémoire est plein ; le port de mqtt.url est-il juste ?',
  },
  'doctor.broker.ended': { en: 'takes the connection, and ends it without an answer', fr: 'accepte la connexion, et la coupe sans répondre' },
  'doctor.broker.ended.try': {
    en: 'ask its operator: the log of the broker may say why; is the port of mqtt.url right?',
    fr: 'demandez à son exploitant : le journal du broker peut dire pourquoi ; le port de mqtt.url est-il juste ?',
  },
  'doctor.broker.other': { en: 'something answers, but not an MQTT broker: {reason}', fr: 'quelque chose répond, mais pas un broker MQTT : {reason}' },
  'doctor.broker.other.try': { en: 'check host and port of mqtt.url', fr: 'vérifiez l’hôte et le port de mqtt.url' },
  'doctor.broker.files': { en: '{reason}', fr: '{reason}' },
  'doctor.broker.files.try': {
    en: 'write the password into the file that mqtt.passwordFile names',
    fr: 'écrivez le mot de passe dans le fichier que nomme mqtt.passwordFile',
  },

  'doctor.acl.ok': { en: 'may publish on {topic}', fr: 'peut publier sur {topic}' },
  'doctor.acl.courier': { en: 'may publish here, but the courier says: {what}', fr: 'peut publier ici, mais le courrier dit : {what}' },
  'doctor.acl.courier.try': {
    en: 'it tries again within ten minutes, at once after: sudo systemctl restart tocsin-courier; if this persists, ask the operator: are there several brokers at this address, and does the platform subscribe at each?',
    fr: 'il réessaie dans les dix minutes, aussitôt après : sudo systemctl restart tocsin-courier ; si cela persiste, demandez à l’exploitant : y a-t-il plusieurs brokers à cette adresse, et la plateforme est-elle abonnée à chacun ?',
  },
  'doctor.acl.rate': {
    en: 'may publish, but more events wait than the listener may store: the courier sends them slowly',
    fr: 'peut publier, mais il attend plus d’événements que l’écouteur n’a le droit d’en enregistrer : le courrier les envoie lentement',
  },
  'doctor.acl.rate.try': {
    en: 'was the listener replaced? sudo tocsin privacy verify; no fault after an outbox from another sensor, or where the courier cannot write: journalctl -u tocsin-courier -n 20',
    fr: 'l’écouteur a-t-il été remplacé ? sudo tocsin privacy verify ; normal après la file d’un autre capteur, ou si le courrier ne peut pas écrire : journalctl -u tocsin-courier -n 20',
  },
  'doctor.acl.hidden': {
    en: 'unknown: MQTT 3.1.1 hides refusals, and refused events are lost',
    fr: 'inconnu : MQTT 3.1.1 cache les refus, et ce qui est refusé est perdu',
  },
  'doctor.acl.hidden.try': { en: 'mqtt.protocol: "5", if the broker speaks it', fr: 'mqtt.protocol: "5", si le broker le parle' },
  'doctor.acl.refused': { en: 'may not publish on {topic} (reason {code})', fr: 'ne peut pas publier sur {topic} (raison {code})' },
  'doctor.acl.refused.try': {
    en: 'ask the operator to let this sensor publish on {topic}; are site and sensor right?',
    fr: 'demandez à l’exploitant le droit de publier sur {topic} ; site et sensor sont-ils justes ?',
  },
  'doctor.acl.will': {
    en: 'refuses the courier because of its will on {topic} (reason {code})',
    fr: 'refuse le courrier pour son testament sur {topic} (raison {code})',
  },
  'doctor.acl.will.try': {
    en: 'ask the operator to let this sensor publish on all its topics; are site and sensor right?',
    fr: 'demandez à l’exploitant le droit de publier sur tous ses sujets ; site et sensor sont-ils justes ?',
  },
  'doctor.acl.unheard': {
    en: 'nobody subscribes to this sensor’s events: {topic}',
    fr: 'personne n’est abonné aux événements de ce capteur : {topic}',
  },
  'doctor.acl.unheard.try': {
    en: 'events are kept; the platform must subscribe, with a persistent session; if something other than a subscriber takes them, such as a rule engine: mqtt.requireSubscriber: false',
    fr: 'les événements sont gardés ; la plateforme doit s’abonner, avec une session persistante ; s’ils sont pris autrement que par un abonné, par exemple un moteur de règles : mqtt.requireSubscriber: false',
  },
  'doctor.acl.alone': {
    en: 'nobody subscribes to {topic}, perhaps not to events either',
    fr: 'personne n’est abonné à {topic}, peut-être pas aux événements non plus',
  },
  'doctor.acl.alone.try': {
    en: 'the platform must subscribe to tocsin/v1/#, with a persistent session; mqtt.requireSubscriber: false turns this check off',
    fr: 'la plateforme doit s’abonner à tocsin/v1/#, avec une session persistante ; mqtt.requireSubscriber: false supprime ce contrôle',
  },
  'doctor.acl.ended': {
    en: 'the broker ends the connection when the sensor publishes on {topic}',
    fr: 'le broker coupe la connexion quand le capteur publie sur {topic}',
  },
  'doctor.acl.ended.try': {
    en: 'usually it forbids this sensor to publish there: see the broker’s log',
    fr: 'en général il interdit à ce capteur d’y publier : voyez le journal du broker',
  },
  'doctor.acl.silent': { en: 'the broker did not acknowledge: {reason}', fr: 'le broker n’a pas accusé réception : {reason}' },
  'doctor.acl.silent.try': {
    en: 'run it again; a weak link needs a longer mqtt.ackTimeoutSeconds',
    fr: 'recommencez ; une liaison faible demande un mqtt.ackTimeoutSeconds plus long',
  },
} as const satisfies Record<string, Message>;
